from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

_CLEAR = "\r\033[K"
#: Of the message: the line must not wrap, or it could not be cleared.
_MAX_CHARS = 60


class ProgressLine:
    """The last line of a terminal: how far a run is. Elsewhere nothing of it is printed."""

    def __init__(self) -> None:
        self._shown = False

    def show(self, progress: Mapping[str, Any]) -> None:
        """progress: of a run document."""
        if sys.stderr.isatty():
            self._shown = True
            message = "".join(sign if sign.isprintable() else " " for sign in progress["message"])
            print(f"{_CLEAR}{progress['fraction']:4.0%} {message[:_MAX_CHARS]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Before anything else is printed."""
        if self._shown:
            self._shown = False
            print(_CLEAR, end="", file=sys.stderr, flush=True)
