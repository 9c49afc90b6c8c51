"""A small HTTP client for ClickHouse, old (18.16) and new, that takes nothing but a whole good answer for success."""

import json
import urllib.error
import urllib.request
from urllib.parse import urlencode


class ClickHouseError(Exception):
    """The server refused a statement, or could not be reached."""


class ClickHouse:
    def __init__(self, url: str, user: str = "default", password: str = ""):
        self.url = url
        self.headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}

    def execute(self, sql: str, body: bytes = b"", **settings) -> bytes:
        """Runs one statement; `body` is the data of an INSERT. Returns the answer's bytes."""
        address = self.url + "/?" + urlencode({"wait_end_of_query": 1, **settings, "query": sql})
        request = urllib.request.Request(address, data=body, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=600) as response:
                if code := response.headers.get("X-ClickHouse-Exception-Code"):
                    raise ClickHouseError(f"code {code} in an answer with status 200, to: {sql}")
                return response.read()
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace").strip()
            raise ClickHouseError(f"{reason.splitlines()[0] if reason else error}, to: {sql}") from None
        except OSError as error:
            raise ClickHouseError(f"no answer from {self.url}: {error}") from None

    def rows(self, sql: str) -> list[dict]:
        """The rows of a query, 64-bit integers as integers."""
        lines = self.execute(sql + " FORMAT JSONEachRow", output_format_json_quote_64bit_integers=0)
        return [json.loads(line) for line in lines.splitlines()]

    def row(self, sql: str) -> dict:
        (row,) = self.rows(sql)
        return row


def quoted(name: str) -> str:
    """An identifier as SQL, whatever characters it holds."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"

