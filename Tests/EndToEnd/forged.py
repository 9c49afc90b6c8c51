"""A Kafka broker of one topic that answers what a test wants, also what no broker says: ApiVersions to Fetch v4, one thread a connection."""

import socket
import struct
import subprocess
import threading
import time

CRC = []
for number in range(256):
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    CRC.append(number)
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def varint(number: int) -> bytes:
    number = (number << 1 ^ number >> 63) & (1 << 64) - 1
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def record(delta: int, value: bytes) -> bytes:
    body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def batch(base: int, values: list[bytes], codec: int = 0, body: bytes | None = None) -> bytes:
    """A record batch v2 whose checksum is right; `body` stands in place of its records, as they are when packed."""
    body = b"".join(record(delta, value) for delta, value in enumerate(values)) if body is None else body
    rest = struct.pack(">hiqqqhii", codec, len(values) - 1, 0, 0, -1, -1, -1, len(values)) + body
    head = struct.pack(">ibI", 0, 2, crc32c(rest)) + rest
    return struct.pack(">qi", base, len(head)) + head


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-19", "--content-size"], input=data, capture_output=True, check=True).stdout


def text(value: str | None) -> bytes:
    data = None if value is None else value.encode()
    return struct.pack(">h", -1) if data is None else struct.pack(">h", len(data)) + data


class Request:
    def __init__(self, data: bytes):
        self.data, self.place = data, 0

    def take(self, form: str) -> int:
        value, = struct.unpack_from(">" + form, self.data, self.place)
        self.place += struct.calcsize(">" + form)
        return value

    def text(self) -> str:
        count = self.take("h")
        if count < 0:
            return ""
        self.place += count
        return self.data[self.place - count:self.place].decode("latin1")

    def topics(self, each) -> bytes:
        """The answer of a list of topics with partitions; `each` reads one partition and answers it."""
        count = self.take("i")
        out = struct.pack(">i", count)
        for _ in range(count):
            out += text(self.text())
            partitions = self.take("i")
            out += struct.pack(">i", partitions) + b"".join(each() for _ in range(partitions))
        return out


class ForgedBroker:
    """`batches`: (first offset, last offset, bytes) in order. `partitions`: the numbers that the metadata list."""

    # Produce is never asked, but tells that batches are of version 2.
    APIS = ((0, 3, 3), (18, 0, 0), (3, 0, 2), (2, 1, 1), (1, 4, 4), (10, 0, 0), (9, 1, 1), (8, 2, 2), (32, 0, 0))

    def __init__(self, topic: str, batches=(), partitions=(0,), low: int = 0, high: int | None = None, cluster: str = "forged"):
        self.topic, self.batches, self.partitions, self.low, self.cluster = topic, list(batches), partitions, low, cluster
        self.high = high if high is not None else max((last + 1 for _, last, _ in self.batches), default=0)
        self.committed: dict[int, tuple[int, str]] = {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket):
        stream = connection.makefile("rb")
        answers = {18: self._versions, 3: self._metadata, 2: self._offsets, 1: self._fetch, 10: self._coordinator, 9: self._read, 8: self._commit,
                   32: self._settings}
        try:
            while head := stream.read(4):
                request = Request(stream.read(struct.unpack(">i", head)[0]))
                key, version, number = request.take("h"), request.take("h"), request.take("i")
                request.text()
                # A newer version of the first question is answered with 35 (unsupported), and is then asked in the oldest.
                body = self._versions(request, 35) if key == 18 and version > 0 else answers[key](request)
                connection.sendall(struct.pack(">ii", len(body) + 4, number) + body)
        except (OSError, struct.error):
            pass
        finally:
            connection.close()

    def _versions(self, _, code: int = 0) -> bytes:
        return struct.pack(">hi", code, len(self.APIS)) + b"".join(struct.pack(">hhh", *api) for api in self.APIS)

    def _metadata(self, _) -> bytes:
        brokers = struct.pack(">ii", 1, 1) + text("127.0.0.1") + struct.pack(">i", self.port) + text(None)
        parts = b"".join(struct.pack(">hiiiiii", 0, number, 1, 1, 1, 1, 1) for number in self.partitions)
        topic = struct.pack(">h", 0) + text(self.topic) + b"\0" + struct.pack(">i", len(self.partitions)) + parts
        return brokers + text(self.cluster) + struct.pack(">ii", 1, 1) + topic

    def _offsets(self, request: Request) -> bytes:
        request.take("i")

        def one() -> bytes:
            partition, at = request.take("i"), request.take("q")
            return struct.pack(">ihqq", partition, 0, -1, self.low if at == -2 else self.high)

        return request.topics(one)

    def _fetch(self, request: Request) -> bytes:
        _, patience, _, _, _ = (request.take(form) for form in "iiiib")
        found = []

        def one() -> bytes:
            partition, offset, room = request.take("i"), request.take("q"), request.take("i")
            data = self.data_from(offset, room) if partition == 0 else b""
            found.append(data)
            return struct.pack(">ihqqii", partition, 0, self.high, self.high, 0, len(data)) + data

        out = request.topics(one)
        if not any(found):
            time.sleep(min(patience, 100) / 1000)
        return struct.pack(">i", 0) + out

    def data_from(self, offset: int, room: int) -> bytes:
        """The batch that holds the offset or follows it; `room` bytes were asked for."""
        return next((data for _, last, data in self.batches if last >= offset), b"")

    def _coordinator(self, _) -> bytes:
        return struct.pack(">hi", 0, 1) + text("127.0.0.1") + struct.pack(">i", self.port)

    def _read(self, request: Request) -> bytes:
        request.text()

        def one() -> bytes:
            partition = request.take("i")
            offset, metadata = self.committed.get(partition, (-1, ""))
            return struct.pack(">iq", partition, offset) + text(metadata) + struct.pack(">h", 0)

        return request.topics(one)

    def _commit(self, request: Request) -> bytes:
        request.text(), request.take("i"), request.text(), request.take("q")

        def one() -> bytes:
            partition, offset = request.take("i"), request.take("q")
            self.committed[partition] = (offset, request.text())
            return struct.pack(">ih", partition, 0)

        return request.topics(one)

    def _settings(self, request: Request) -> bytes:
        count = request.take("i")
        out = struct.pack(">ii", 0, count)
        for _ in range(count):
            kind, name = request.take("b"), request.text()
            out += struct.pack(">h", 0) + text(None) + struct.pack(">b", kind) + text(name)
            out += struct.pack(">i", 1) + text("cleanup.policy") + text("delete") + b"\0\0\0"
        return out
