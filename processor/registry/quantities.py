"""The notations of the manifest: durations, sizes, rates. Errors say what is wrong and what to write instead."""

from __future__ import annotations

import re

_UNITS_SEC = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:(\d{1,12})d)?(?:(\d{1,12})h)?(?:(\d{1,12})m)?(?:(\d{1,12})s)?(?:(\d{1,12})ms)?")
_DURATION_UNITS = ("d", "h", "m", "s", "ms")
_MEMORY = re.compile(r"(\d{1,15})(Ki|Mi|Gi|Ti|K|k|M|G|T)")
_MEMORY_UNITS: dict[str, int] = {
    **{unit: 1024 ** (place + 1) for place, unit in enumerate(("Ki", "Mi", "Gi", "Ti"))},
    **{unit: 1000 ** (place + 1) for place, unit in enumerate(("K", "M", "G", "T"))},
    "k": 1000,
}
_RATE = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)/(s|m|h)")

#: Longer than any limit, and still a float: YAML's integers have no end.
_FAR = 10**12

DURATION_PATTERN = r"^(?=.)(\d{1,12}d)?(\d{1,12}h)?(\d{1,12}m)?(\d{1,12}s)?(\d{1,12}ms)?$"
MEMORY_PATTERN = r"^\d{1,15}(Ki|Mi|Gi|Ti|K|k|M|G|T)$"
RATE_PATTERN = r"^\d{1,12}(\.\d{1,12})?/[smh]$"

MIN_MEMORY_BYTES = 16 * 1024**2
MAX_MEMORY_BYTES = 1024**4


class BadQuantity(ValueError):
    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message = message
        self.remedy = remedy


def duration_sec(value: object, *, low: str, high: str) -> float:
    """15m, 1h30m, or a number of seconds. Raises BadQuantity."""
    seconds = _seconds(value)
    remedy = f"use {low}..{high}"
    if seconds is None:
        raise BadQuantity("is not a duration", f"{remedy}, such as 90s, 15m, 1h30m, or a number of seconds")
    if seconds > (_seconds(high) or 0.0):
        raise BadQuantity(f"is longer than {high}", remedy)
    if seconds < (_seconds(low) or 0.0):
        raise BadQuantity(f"is shorter than {low}", remedy)
    return seconds


def memory_bytes(value: object) -> int:
    """512Mi, 1Gi; powers of ten as 512M. Raises BadQuantity."""
    match = _MEMORY.fullmatch(value) if isinstance(value, str) else None
    if match is None:  # a bare number is refused: it means MB on Tencent and AWS, bytes on Kubernetes
        raise BadQuantity("is not a memory size", "write a number and a unit, such as 512Mi or 1Gi")
    size = int(match[1]) * _MEMORY_UNITS[match[2]]
    if not MIN_MEMORY_BYTES <= size <= MAX_MEMORY_BYTES:
        raise BadQuantity("is out of range", "use 16Mi..1Ti")
    return size


def rate_per_sec(value: object) -> float:
    """20/s, 100/m, 5/h. Raises BadQuantity."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadQuantity("is not a rate", "write a number per unit of time, such as 20/s, 100/m or 5/h")
    rate = float(match[1]) / _UNITS_SEC[match[2]]
    if rate <= 0:
        raise BadQuantity("lets nothing through", "use a rate above 0, or set enabled: false")
    return rate


def _seconds(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(min(value, _FAR)) if value == value else None  # YAML has .nan
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        return None
    return sum(int(each) * _UNITS_SEC[unit] for each, unit in zip(match.groups(), _DURATION_UNITS, strict=True) if each)
