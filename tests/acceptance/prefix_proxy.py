"""A reverse proxy that serves a gateway below a path, as installations do."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_ANSWER_SEC = 30.0
_PIECE_BYTES = 4_096
_HOP = {"connection", "transfer-encoding", "keep-alive"}


class PrefixProxy:
    """http://127.0.0.1:PORT/prefix/x is the gateway's /x; the gateway hears nothing of the prefix."""

    def __init__(self, prefix: str, port: int) -> None:
        handler = type("Handler", (_Handler,), {"prefix": prefix, "upstream": port})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}{prefix}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    #: A browser opens many connections at once; with the default of 5 some of them are reset.
    request_queue_size = 64


class _Handler(BaseHTTPRequestHandler):
    prefix: str
    upstream: int

    def do_GET(self) -> None:  # http.server's name
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def log_message(self, *args: Any) -> None:
        """Says nothing."""

    def _pass_on(self) -> None:
        if not self.path.startswith(f"{self.prefix}/"):
            return self.send_error(404)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=_ANSWER_SEC)
        try:
            connection.request(self.command, self.path.removeprefix(self.prefix), body, dict(self.headers))
            return self._answer(connection.getresponse())
        except OSError:
            return None  # the browser has gone, or the gateway
        finally:
            connection.close()

    def _answer(self, response: http.client.HTTPResponse) -> None:
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        while piece := response.read1(_PIECE_BYTES):
            self.wfile.write(piece)
            self.wfile.flush()
