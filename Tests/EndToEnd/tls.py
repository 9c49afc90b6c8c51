"""Certificates made on the spot, and a TLS terminator in front of a plain HTTP server."""

import contextlib
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """An authority of our own, which signs for any host and any time."""

    def __init__(self, directory: Path, name: str = "authority"):
        self.directory = directory
        self.pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.pair.key, "-out", self.pair.certificate, "-days", 30,
                "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign,cRLSign")
        (directory / f"{name}.index").touch()
        (directory / f"{name}.conf").write_text(
            f"[ca]\ndefault_ca=it\n[it]\ndatabase={directory}/{name}.index\nnew_certs_dir={directory}\nrand_serial=yes\n"
            "default_md=sha256\npolicy=any\ncopy_extensions=copy\nunique_subject=no\n[any]\ncommonName=supplied\n")
        self._config = directory / f"{name}.conf"

    def sign(self, name: str, host: str = "IP:127.0.0.1", start: str = "20200101000000Z", end: str = "20400101000000Z") -> Pair:
        pair = Pair(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        request = self.directory / f"{name}.csr"
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", pair.key, "-out", request, "-subj", f"/CN={name}",
                "-addext", f"subjectAltName={host}")
        openssl("ca", "-batch", "-notext", "-config", self._config, "-cert", self.pair.certificate, "-keyfile", self.pair.key,
                "-in", request, "-out", pair.certificate, "-startdate", start, "-enddate", end)
        return pair


class Terminator:
    """Takes TLS on a port of its own and hands the bytes to `target`; its certificate can be changed while it runs."""

    def __init__(self, target: str, pair: Pair, clients: Path | None = None):
        host, _, port = target.rpartition("/")[2].partition(":")
        self._target, self._clients = (host, int(port)), clients
        self.accepted = 0  # connections whose handshake went through
        self.requests = b""  # heads of what came in, for looking at
        self.show(pair)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def show(self, pair: Pair):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        if self._clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self._clients)
        self._context = context

    def close(self):
        self._socket.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                threading.Thread(target=self._take, args=(peer,), daemon=True).start()

    def _take(self, peer: socket.socket):
        with contextlib.suppress(OSError), self._context.wrap_socket(peer, server_side=True) as near:
            self.accepted += 1
            with socket.create_connection(self._target) as far:
                back = threading.Thread(target=self._copy, args=(far, near), daemon=True)
                back.start()
                self._copy(near, far, keep=True)
                back.join()

    def _copy(self, source, target, keep=False):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    self.requests += data[:2048]
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
