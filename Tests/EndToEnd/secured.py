"""An Apache Kafka as companies run it: listeners for each way to encrypt and to authenticate, ACLs, and the authorities behind them."""

import base64
import contextlib
import json
import secrets
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from servers import KAFKA_SCRIPT, ServerError, command, free_port, kill_at_once

PASSWORD = "canary-kafka-5521"
SECRET = "canary-oauth-9037"
USER, GROUP_PREFIX = "mill", "millrace-"


class Authority:
    """A certificate authority in a directory; `certificate` gives PEM files with key and certificate together."""

    def __init__(self, directory: Path, name: str):
        self.directory, self.name = directory, name
        directory.mkdir(parents=True, exist_ok=True)
        self.file = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.file)

    def certificate(self, name: str, subject: str, hosts: str = "", expired: bool = False) -> Path:
        """Key and certificate in one file `NAME.pem`, beside `NAME.key` and `NAME.crt`."""
        key, request, certificate = (self.directory / f"{name}.{ending}" for ending in ("key", "csr", "crt"))
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", key, "-out", request)
        database = self.directory / f"{name}.database"
        database.mkdir()
        (database / "index").touch()
        (database / "serial").write_text(secrets.token_hex(8))
        extensions = f"[extensions]\nsubjectAltName={hosts}\n" if hosts else "[extensions]\n"
        (database / "config").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={database}/index\nserial={database}/serial\nnew_certs_dir={database}\n"
            f"default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n{extensions}")
        dates = ("20200101000000Z", "20200201000000Z") if expired else ("20200101000000Z", "20491231000000Z")
        openssl("ca", "-batch", "-notext", "-config", database / "config", "-extensions", "extensions", "-cert", self.file, "-keyfile", self._key,
                "-startdate", dates[0], "-enddate", dates[1], "-in", request, "-out", certificate)
        both = self.directory / f"{name}.pem"
        both.write_text(key.read_text() + certificate.read_text())
        return both


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise ServerError(f"openssl {arguments[0]}: {done.stderr}")


# Each listener: what it speaks, and the properties a client of it needs beside the authority's file.
LISTENERS = {
    "tls": "SSL", "mtls": "SSL", "expired": "SSL", "stranger": "SSL", "sasl": "SASL_SSL", "clear": "SASL_PLAINTEXT", "oauth": "SASL_SSL",
}


class SecuredBroker:
    """One broker in a directory. `address` is its plain listener, for super users alone; `addresses` those of the secured ones."""

    def __init__(self, directory: Path):
        self.directory = directory / "kafka"
        self.directory.mkdir(parents=True)
        self.authority = Authority(directory / "authority", "millrace-test-ca")
        self.foreign = Authority(directory / "foreign", "another-ca")
        self.client = self.authority.certificate("client", f"/CN={USER}-by-certificate")
        self.ports = {name: free_port() for name in ("broker", "controller", *LISTENERS)}
        self.address = f"127.0.0.1:{self.ports['broker']}"
        self.addresses = {name: f"localhost:{self.ports[name]}" for name in LISTENERS}
        (self.directory / "server.properties").write_text("\n".join(self._properties()) + "\n")

    def _properties(self):
        names = ["BROKER", "CONTROLLER", *(name.upper() for name in LISTENERS)]
        protocols = {"BROKER": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"} | {name.upper(): protocol for name, protocol in LISTENERS.items()}
        hosts = {"BROKER": "127.0.0.1", "CONTROLLER": "127.0.0.1"}
        yield from ("process.roles=broker,controller", "node.id=1", "controller.listener.names=CONTROLLER",
                    "inter.broker.listener.name=BROKER", f"controller.quorum.bootstrap.servers=127.0.0.1:{self.ports['controller']}",
                    f"log.dirs={self.directory}/data", "auto.create.topics.enable=false", "offsets.topic.replication.factor=1",
                    "offsets.topic.num.partitions=4", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
                    "group.initial.rebalance.delay.ms=0", "broker.heartbeat.interval.ms=500", "broker.session.timeout.ms=2000",
                    "share.coordinator.state.topic.replication.factor=1", "share.coordinator.state.topic.min.isr=1",
                    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS")
        yield "listeners=" + ",".join(f"{name}://127.0.0.1:{self.ports[name.lower()]}" for name in names)
        yield "advertised.listeners=" + ",".join(
            f"{name}://{hosts.get(name, 'localhost')}:{self.ports[name.lower()]}" for name in names if name != "CONTROLLER")
        yield "listener.security.protocol.map=" + ",".join(f"{name}:{protocol}" for name, protocol in protocols.items())
        stores = {
            "expired": self.authority.certificate("expired", "/CN=localhost", "DNS:localhost,IP:127.0.0.1", expired=True),
            "stranger": self.authority.certificate("stranger", "/CN=other.example", "DNS:other.example"),
        }
        right = self.authority.certificate("broker", "/CN=localhost", "DNS:localhost,IP:127.0.0.1")
        for name, protocol in LISTENERS.items():
            prefix = f"listener.name.{name}."
            if protocol.endswith("SSL"):
                yield from (prefix + "ssl.keystore.type=PEM", f"{prefix}ssl.keystore.location={stores.get(name, right)}",
                            prefix + "ssl.truststore.type=PEM", f"{prefix}ssl.truststore.location={self.authority.file}")
        yield "listener.name.mtls.ssl.client.auth=required"
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        for name in ("sasl", "clear"):
            prefix = f"listener.name.{name}."
            yield prefix + "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
            yield f'{prefix}plain.sasl.jaas.config={plain} user_{USER}="{PASSWORD}";'
            yield f"{prefix}scram-sha-256.sasl.jaas.config={scram}"
            yield f"{prefix}scram-sha-512.sasl.jaas.config={scram}"
        yield "listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER"
        yield ("listener.name.oauth.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
               ' unsecuredLoginStringClaim_sub="broker";')
        # A connection ends when its token does.
        yield "listener.name.oauth.oauthbearer.connections.max.reauth.ms=60000"

    def start(self):
        command(KAFKA_SCRIPT, "start", self.directory)

    def kill(self):
        kill_at_once(int((self.directory / "pid").read_text()))
        (self.directory / "pid").unlink()

    def end(self):
        subprocess.run([KAFKA_SCRIPT, "kill", self.directory], capture_output=True)

    def set_scram(self, password: str = PASSWORD):
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            command(KAFKA_SCRIPT, "configs", "--bootstrap-server", self.address, "--alter", "--add-config",
                    f"{mechanism}=[password={password}]", "--entity-type", "users", "--entity-name", USER)

    def acls(self, *arguments: str) -> str:
        """The tool kafka-acls.sh."""
        libraries = f"{KAFKA_SCRIPT.parent}/libs/*:{KAFKA_SCRIPT.parent}"
        return patiently("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={KAFKA_SCRIPT.parent}/log4j2-tools.properties",
                       "-cp", libraries, "org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.address, *arguments)

    def grant(self, principal: str, operation: str, *resource: str):
        self.acls("--add", "--allow-principal", f"User:{principal}", "--operation", operation, *resource)

    def revoke(self, principal: str, operation: str, *resource: str):
        self.acls("--remove", "--force", "--allow-principal", f"User:{principal}", "--operation", operation, *resource)

    def grant_all(self, principal: str, topic: str, group: str):
        """What the README says a pipeline needs."""
        self.acls("--add", "--allow-principal", f"User:{principal}", "--operation", "Read", "--operation", "DescribeConfigs", "--topic", topic)
        self.grant(principal, "Read", "--group", group)


def patiently(*arguments) -> str:
    """A tool's output; a second try where the machine was too busy for the first."""
    try:
        return command(*arguments)
    except ServerError:
        return command(*arguments)


def jwt(subject: str, seconds: float, **claims) -> str:
    """An unsigned token, as Kafka's validator for tests takes it."""
    def part(value: dict) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return f"{part({'alg': 'none'})}.{part({'sub': subject, 'iat': time.time() - 1, 'exp': time.time() + seconds} | claims)}."


@dataclass
class TokenEndpoint:
    """A token endpoint on loopback. `answer` changes what it says; stopped, nothing listens at its port."""

    subject: str = f"{USER}-by-token"
    seconds: float = 60
    port: int = field(default_factory=free_port)
    requests: list = field(default_factory=list)
    refuses: bool = False
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/oauth/token"

    def start(self):
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.requests.append((self.path, self.headers["Authorization"], body))
                right = "Basic " + base64.b64encode(f"client:{SECRET}".encode()).decode()
                ok = self.headers["Authorization"] == right and not endpoint.refuses
                answer = ({"access_token": jwt(endpoint.subject, endpoint.seconds), "token_type": "Bearer", "expires_in": int(endpoint.seconds)} if ok
                          else {"error": "invalid_client", "error_description": "unknown client or wrong secret"})
                data = json.dumps(answer).encode()
                self.send_response(200 if ok else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @contextlib.contextmanager
    def running(self):
        self.start()
        try:
            yield self
        finally:
            self.stop()
