"""A web server on this machine that behaves as badly as it is told to."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server holds and how it answers.

    Attributes:
        files: path -> bytes.
        status: path -> status codes of the next answers; when used up, the file is served.
        cut: path -> bytes after which the next answers break off.
        content_type: path -> the header, where it matters.
        headers: sent with every answer.
        asked: (path, Range header) of every request.
    """

    def __init__(self) -> None:
        self.url = ""
        self.files: dict[str, bytes] = {}
        self.status: dict[str, list[int]] = {}
        self.cut: dict[str, list[int]] = {}
        self.content_type: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:8]}"'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        site, asked = self.site, self.headers.get("Range", "")
        site.asked.append((self.path, asked))
        self.path = self.path.partition("?")[0]
        status = site.status[self.path].pop(0) if site.status.get(self.path) else 200
        body = site.files.get(self.path)
        if status != 200 or body is None:
            self._answer(404 if body is None and status == 200 else status, b"no")
            return
        start = (
            int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.headers.get("If-Range") == _tag(body) else 0
        )
        cut = site.cut[self.path].pop(0) if site.cut.get(self.path) else len(body)
        self._answer(206 if start else 200, body[start:], max(cut - start, 0), body)

    def _answer(self, status: int, body: bytes, sent: int | None = None, whole: bytes | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", _tag(body if whole is None else whole))
        self.send_header("Content-Type", self.site.content_type.get(self.path, "application/octet-stream"))
        for name, value in self.site.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[:sent])
        if sent is not None and sent < len(body):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def serving() -> Iterator[Site]:
    """Runs a server for the time of a test."""
    site = Site()
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # A client that hangs up in the middle of an answer is expected here.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    site.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
