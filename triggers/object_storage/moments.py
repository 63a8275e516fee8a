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


def _moment(written: object) -> datetime | None:
    try:
        number = float(written) if isinstance(written, int | float | str) else None
    except ValueError:
        number = None
    try:
        if number is not None:
            return datetime.fromtimestamp(number / 1000 if number > _LARGEST_SEC else number, UTC)
        if not isinstance(written, str):
            return None
        moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
