"""A proxy before ClickHouse that refuses requests, or loses answers."""

import http.client
import http.server
import threading
from urllib.parse import urlsplit


class Proxy:
    """Hands requests on to ClickHouse, but for those that `answer(length)` has a status and a body for; counts them. Where
    `is_lost(target)`, which is asked when ClickHouse has answered, the connection ends without that answer; counts these too.
    """

    def __init__(self, server_url: str, answer=lambda length: None, is_lost=lambda target: False):
        upstream, self.refused, self.lost = urlsplit(server_url).netloc, 0, 0
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                if refusal := answer(length):
                    proxy.refused += 1
                    self.rfile.read(length)
                    return self.reply(*refusal)
                connection = http.client.HTTPConnection(upstream, timeout=60)
                connection.request("POST", self.path, self.rfile.read(length),
                                   {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")})
                response = connection.getresponse()
                body = response.read()
                connection.close()
                if is_lost(self.path):
                    proxy.lost += 1
                    self.close_connection = True
                    return
                kept = {name: value for name, value in response.getheaders() if name.lower().startswith("x-clickhouse")}
                self.reply(response.status, body, kept)

            def reply(self, status, body, headers={}):
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
