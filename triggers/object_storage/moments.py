"""The times of notifications: RFC 3339, or seconds or milliseconds since 1970, as number or as text."""

from __future__ import annotations

from datetime import UTC, datetime

#: A number above this is milliseconds: as seconds it would be the year 5138.
_LARGEST_SEC = 100_000_000_000


def utc_text(written: object) -> str | None:
    """RFC 3339 in UTC with milliseconds; None when it is no time."""
    moment = _moment(written)
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_sec(text: str | None) -> int:
    """Of a text that `utc_text` has made; 0 without one."""
    return int(datetime.fromisoformat(text).timestamp()) if text else 0


def _is_dated(written: object) -> bool:
    """The 2026-... of RFC 3339."""
    return isinstance(written, str) and written[4:5] == "-"


def _number(written: object) -> float | None:
    try:
        return float(written) if isinstance(written, int | float | str) else None
    except ValueError:
        return None


def _moment(written: object) -> datetime | None:
    number = None if _is_dated(written) else _number(written)
    try:
        if number is not None:
            return datetime.fromtimestamp(number / 1000 if number > _LARGEST_SEC else number, UTC)
        if not isinstance(written, str):
            return None
        moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
