"""A ClickHouse 26.9 of one test module's own, whose users, quotas and rights change: it is started anew with another users.xml."""

from pathlib import Path
from xml.sax.saxutils import escape

from servers import ClickHouseServer


class MoodyServer(ClickHouseServer):
    """`user` and `profile` say what the next start has; the embedded server reads its users at a start only."""

    def __init__(self, directory: Path):
        super().__init__("26.9", directory)
        self._users: dict[str, str] = {}
        self._profiles: dict[str, str] = {"default": ""}
        self._quotas: dict[str, str] = {"default": ""}

    def profile(self, name: str, **settings):
        self._profiles[name] = "".join(f"<{key}>{value}</{key}>" for key, value in settings.items())

    def quota(self, name: str, **limits):
        inner = "".join(f"<{key}>{value}</{key}>" for key, value in limits.items())
        self._quotas[name] = f"<interval><duration>86400</duration>{inner}</interval>" if limits else ""

    def user(self, name: str, password: str = "", grants: list[str] | None = None, profile: str = "default", quota: str = "default"):
        queries = "".join(f"<query>{escape(grant)}</query>" for grant in grants or [])
        rights = f"<grants>{queries}</grants>" if grants is not None else ""
        self._users[name] = (f"<password>{escape(password)}</password><networks><ip>127.0.0.1</ip></networks>"
                             f"<profile>{profile}</profile><quota>{quota}</quota>{rights}")

    def restart(self):
        """kill -9 and a start with what was said since; tables and rows stay."""
        if self.pid:
            self.kill()
        sections = [("profiles", self._profiles), ("quotas", self._quotas), ("users", {"default": (
            "<no_password/><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>")} | self._users)]
        text = "".join(f"<{tag}>{''.join(f'<{name}>{inner}</{name}>' for name, inner in entries.items())}</{tag}>"
                       for tag, entries in sections)
        (self.directory / "users.xml").write_text(f"<clickhouse>{text}</clickhouse>")
        self.start()

    def log_has(self, text: str) -> bool:
        return text in (self.directory / "server.log").read_text(errors="replace")
