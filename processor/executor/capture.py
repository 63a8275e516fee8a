"""From the bytes of an instance's pipes to the numbered lines of a run."""

from __future__ import annotations

from processor.executor.abstract import Line
from processor.executor.runtime.logs import CONTINUES

#: Longest line; a longer one is continued in the next.
MAX_LINE_BYTES = 256 * 1024
#: A line without its end is passed on after this time: a progress bar is worth seeing.
PARTIAL_AFTER_MS = 100
#: Lines are passed on at once when this much is together. A record of the log stays well below its 2 MB.
BATCH_BYTES = 64 * 1024


class LineCutter:
    """One stream. Bytes are UTF-8; what is not becomes U+FFFD."""

    __slots__ = ("_rest", "_rest_since_ms")

    def __init__(self) -> None:
        self._rest = b""
        self._rest_since_ms = 0

    def feed(self, data: bytes, now_ms: int) -> list[str]:
        """The lines that are complete now."""
        whole, end, rest = data.rpartition(b"\n")
        if not end:
            return self._keep(self._rest + rest, now_ms) if self._rest else self._keep(rest, now_ms)
        if self._rest:
            whole = self._rest + whole
        lines = _decode(whole).split("\n") if len(whole) <= MAX_LINE_BYTES else _cut_long(whole)
        self._rest = b""
        return lines + self._keep(rest, now_ms) if rest else lines

    def flush(self) -> list[str]:
        """The line that has no end yet, if there is one."""
        rest, self._rest = self._rest, b""
        return [_decode(rest)] if rest else []

    def flush_old(self, now_ms: int) -> list[str]:
        return self.flush() if self._rest and now_ms - self._rest_since_ms >= PARTIAL_AFTER_MS else []

    def _keep(self, rest: bytes, now_ms: int) -> list[str]:
        if not self._rest:
            self._rest_since_ms = now_ms
        *pieces, self._rest = _pieces(rest)
        return [_decode(piece) + CONTINUES for piece in pieces]


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _cut_long(data: bytes) -> list[str]:
    lines = []
    for line in data.split(b"\n"):
        *pieces, last = _pieces(line)
        lines += [_decode(piece) + CONTINUES for piece in pieces]
        lines.append(_decode(last))
    return lines


def _pieces(line: bytes) -> list[bytes]:
    """At most MAX_LINE_BYTES each; no character is cut in two."""
    pieces = []
    start = 0
    while len(line) - start > MAX_LINE_BYTES:
        end = start + MAX_LINE_BYTES
        for _ in range(3):
            if line[end] & 0xC0 != 0x80:
                break
            end -= 1
        pieces.append(line[start:end])
        start = end
    pieces.append(line[start:] if start else line)
    return pieces


class Capture:
    """What one run has said and nobody was told yet."""

    __slots__ = ("_size", "_stderr", "_stdout", "count", "lines")

    def __init__(self) -> None:
        self._stdout = LineCutter()
        self._stderr = LineCutter()
        self._size = 0
        #: Lines so far, told ones included.
        self.count = 0
        self.lines: list[Line] = []

    def feed(self, stream: str, data: bytes, now_ms: int) -> bool:
        """True: enough for a batch."""
        cutter = self._stdout if stream == "stdout" else self._stderr
        self._add(stream, cutter.feed(data, now_ms), now_ms)
        self._size += len(data)
        return self._size >= BATCH_BYTES

    def add(self, stream: str, level: str | None, at_ms: int, text: str) -> bool:
        self.count += 1
        self.lines.append((self.count, stream, level, at_ms, text))
        self._size += len(text)
        return self._size >= BATCH_BYTES

    def adopt(self, lines: list[Line]) -> None:
        """Lines of a module on import, as the first of its first run."""
        for _, stream, level, at_ms, text in lines:
            self.add(stream, level, at_ms, text)

    def age(self, now_ms: int) -> None:
        """Ends lines that have waited for their end for too long."""
        self._add("stdout", self._stdout.flush_old(now_ms), now_ms)
        self._add("stderr", self._stderr.flush_old(now_ms), now_ms)

    def finish(self, now_ms: int) -> None:
        """Nothing more comes: ends all lines."""
        self._add("stdout", self._stdout.flush(), now_ms)
        self._add("stderr", self._stderr.flush(), now_ms)

    def take(self) -> list[Line]:
        lines, self.lines = self.lines, []
        self._size = 0
        return lines

    def _add(self, stream: str, texts: list[str], now_ms: int) -> None:
        for text in texts:
            self.count += 1
            self.lines.append((self.count, stream, None, now_ms, text))
