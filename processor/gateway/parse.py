"""From a parameter's text to its value. All raise ValueError."""

from __future__ import annotations

from collections.abc import Callable


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
        if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) in values):
            raise ValueError(text)
        return int(text)

    return parse
