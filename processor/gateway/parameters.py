from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from processor.core.errors import HeadraceError
from processor.http.problems import bad_request

T = TypeVar("T")
_AGO = re.compile(r"(\d{1,6})([smhd])")
_AGO_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Parameters:
    """The query of one request. Collects what is wrong, so that the caller hears everything at once."""

    def __init__(self, query: Mapping[str, str], *, known: Sequence[str]) -> None:
        self._query = query
        self._known = known
        self._errors: list[dict[str, Any]] = [
            {"parameter": name, "detail": f"{name!r} is not a parameter of this address"}
            for name in sorted(set(query) - set(known))
        ]

    def take(self, name: str, parse: Callable[[str], T], default: T, *, expected: str) -> T:
        text = self._query.get(name)
        if text is None:
            return default
        try:
            return parse(text)
        except (ValueError, HeadraceError):
            self._errors.append({"parameter": name, "detail": f"{name}={text!r} is not {expected}"})
            return default

    def check(self) -> None:
        """Raises Refused (400) when anything was wrong."""
        if self._errors:
            known = ", ".join(self._known) or "none"
            raise bad_request(
                "; ".join(each["detail"] for each in self._errors),
                remedy=f"Parameters of this address: {known}.",
                errors=self._errors,
            )


def one_of(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return parse


def number_in(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not low <= float(text) <= high:  # also refuses nan
            raise ValueError(text)
        return float(text)

    return parse


def whole_in(values: range) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) in values):
            raise ValueError(text)
        return int(text)

    return parse


def moment(now_ms: int) -> Callable[[str], int]:
    """An RFC 3339 time with its offset, or how long ago: 90s, 15m, 2h, 7d. Gives Unix milliseconds."""

    def parse(text: str) -> int:
        ago = _AGO.fullmatch(text)
        if ago is not None:
            return now_ms - int(ago[1]) * _AGO_MS[ago[2]]
        time = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that was not escaped arrives as a space
        if time.tzinfo is None:
            raise ValueError(text)
        return int(time.timestamp() * 1000)

    return parse
