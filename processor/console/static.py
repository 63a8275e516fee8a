"""The files that pages load: read and compressed once, and named by their content: a browser asks for each once."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from processor.http.message import Request, Response
from processor.http.problems import not_found

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".LICENSE": b"text/plain; charset=utf-8",
}
_FOR_A_YEAR = (b"cache-control", b"public, max-age=31536000, immutable")
_NOT_KEPT = (b"cache-control", b"no-store")


class StaticFiles:
    def __init__(self) -> None:
        files = sorted(each for each in _FOLDER.rglob("*") if each.suffix in _TYPES)
        self._plain = {each.relative_to(_FOLDER).as_posix(): each.read_bytes() for each in files}
        self._packed = {name: gzip.compress(body, mtime=0) for name, body in self._plain.items()}
        #: Part of every address, so that a new version of any file is a new address for all.
        self.version = hashlib.sha256(b"".join(self._plain.values())).hexdigest()[:12]

    def get(self, request: Request, version: str, name: str) -> Response:
        """version: that of the page. Raises Refused (404)."""
        body = self._plain.get(name)
        if body is None:
            raise not_found(f"there is no file {name!r}", remedy="Load the page again.")
        # While a new version comes the page can be of one gateway and this answer of another: nobody may keep that.
        kept = _FOR_A_YEAR if version == self.version else _NOT_KEPT
        headers = [kept, (b"x-content-type-options", b"nosniff"), (b"vary", b"accept-encoding")]
        if "gzip" in (request.header(b"accept-encoding") or ""):
            body = self._packed[name]
            headers.append((b"content-encoding", b"gzip"))
        return Response(status=200, body=body, content_type=_TYPES[Path(name).suffix], headers=headers)
