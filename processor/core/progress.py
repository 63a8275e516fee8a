"""How far a run says that it is: what `context.progress` becomes on the topic `logs`, beside the lines and not among
them, so that it takes no line's number and the verdict counts none of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from processor.core.errors import Undecodable

#: What every record of progress begins with, and no record of lines: readers of many records need not parse them.
_BEGINNING = b'{"progress":'
_YEAR_10000_MS = 253_402_300_800_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """The last one of a delivery holds."""

    request_id: str
    function: str
    delivery: str
    #: 0 to 1.
    fraction: float
    message: str
    at_ms: int

    def encode(self) -> bytes:
        return orjson.dumps(
            {
                "progress": [self.fraction, self.message, self.at_ms],
                "request_id": self.request_id,
                "function": self.function,
                "delivery": self.delivery,
            }
        )


def is_progress(value: bytes | None) -> bool:
    return value is not None and value.startswith(_BEGINNING)


def decode_progress(value: bytes) -> Progress:
    """Raises Undecodable."""
    try:
        document: dict[str, Any] = orjson.loads(value)
        fraction, message, at_ms = document.pop("progress")
        if not (0 <= float(fraction) <= 1 and type(at_ms) is int and 0 <= at_ms < _YEAR_10000_MS):
            raise ValueError("no fraction from 0 to 1, or no time")
        names = [str(document[name]) for name in ("request_id", "function", "delivery")]
        return Progress(
            request_id=names[0],
            function=names[1],
            delivery=names[2],
            fraction=float(fraction),
            message=str(message),
            at_ms=at_ms,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Undecodable(f"not a record of progress: {error!r}") from error
