"""Python's `logging` inside an instance: records go to the executor whole, with their level."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import orjson

#: Of one message; as long as a line of standard output may be.
MAX_CHARS = 256 * 1024
#: At the end of every piece of a line but the last.
CONTINUES = " [line continues]"

#: Sends (level, Unix milliseconds, text) as one frame; False when that cannot be done now.
Send = Callable[[bytes], bool]


class FrameHandler(logging.Handler):
    """The root handler of an instance. Where there is no executor to send to it writes to standard error: while the
    module is imported, and in children that the function forked.
    """

    def __init__(self) -> None:
        super().__init__()
        self._send: Send | None = None
        self._pid = 0

    def connect(self, send: Send) -> None:
        self._send = send
        self._pid = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            if not self._sent(record, text):
                sys.stderr.write(f"{record.levelname} {text}\n")
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)

    def _sent(self, record: logging.LogRecord, text: str) -> bool:
        if self._send is None or os.getpid() != self._pid:
            return False
        at_ms = int(record.created * 1000)
        return all(self._send(orjson.dumps([record.levelname, at_ms, piece])) for piece in _pieces(text))


def _pieces(text: str) -> list[str]:
    """Lone surrogates are no JSON; a message too long for one line is continued."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    if len(clean) <= MAX_CHARS:
        return [clean]
    cuts = [clean[start : start + MAX_CHARS] for start in range(0, len(clean), MAX_CHARS)]
    return [cut + CONTINUES for cut in cuts[:-1]] + cuts[-1:]


def install() -> FrameHandler:
    """As on Lambda, the root logger has a handler before any code of the function runs."""
    handler = FrameHandler()
    logging.getLogger().addHandler(handler)
    _make_basic_config_work(handler)
    return handler


def _make_basic_config_work(ours: FrameHandler) -> None:
    """`logging.basicConfig` does nothing when the root logger has a handler, which on Lambda surprises everybody: the
    level stays at WARNING. While ours is the only one, basicConfig sets its level and format.
    """
    original = logging.basicConfig

    def basic_config(**options: Any) -> None:
        root = logging.getLogger()
        if root.handlers != [ours] or any(options.get(name) for name in ("force", "filename", "stream", "handlers")):
            original(**options)
            return
        if options.get("format"):
            style = options.get("style", "%")
            ours.setFormatter(logging.Formatter(options["format"], options.get("datefmt"), style))
        if options.get("level") is not None:
            root.setLevel(options["level"])

    logging.basicConfig = basic_config
