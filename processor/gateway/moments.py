from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_AGO_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A time as people give it: an RFC 3339 time with its offset, or how long ago: 90s, 15m, 2h, 7d."""

    unix_ms: int = 0
    ago_ms: int | None = None

    @classmethod
    def parse(cls, text: str) -> Moment:
        """Raises ValueError."""
        ago = _AGO.fullmatch(text)
        if ago is not None:
            return cls(ago_ms=int(ago[1]) * _AGO_MS[ago[2]])
        time = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that was not escaped arrives as a space
        if time.tzinfo is None:
            raise ValueError(text)
        return cls(unix_ms=int(time.timestamp() * 1000))

    def at_ms(self, now_ms: int) -> int:
        """Unix milliseconds."""
        return self.unix_ms if self.ago_ms is None else now_ms - self.ago_ms


def duration_in(low_ms: int, high_ms: int) -> Callable[[str], int]:
    """Milliseconds of a span like 90s, 15m, 2h, 7d. Raises ValueError."""

    def parse(text: str) -> int:
        found = _AGO.fullmatch(text)
        if found is None or not low_ms <= int(found[1]) * _AGO_MS[found[2]] <= high_ms:
            raise ValueError(text)
        return int(found[1]) * _AGO_MS[found[2]]

    return parse
