"""How values are written for people. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from markupsafe import Markup, escape

_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))
#: Longer payloads are cut on the page, which says so and links to the whole.
PAYLOAD_CHARS = 100_000


def moment(text: str | None) -> datetime | None:
    """Of the API's timestamps."""
    return None if not text else datetime.fromisoformat(text)


def seconds_since(text: str | None, now: datetime) -> float | None:
    at = moment(text)
    return None if at is None else (now - at).total_seconds()


def duration(seconds: float | None) -> str:
    """12 ms, 3.4 s, 2 min 5 s, 3 h 20 min."""
    if seconds is None:
        return "–"
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 else "0 ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for size, name in _STEPS:
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            return f"{whole:.0f} {name}{_rest(rest, size)}"
    raise AssertionError


def _rest(rest: float, size: int) -> str:
    smaller, name = {86_400: (3_600, "h"), 3_600: (60, "min"), 60: (1, "s")}[size]
    count = int(rest // smaller)
    return f" {count} {name}" if count else ""


def ago(text: str | None, now: datetime) -> str:
    seconds = seconds_since(text, now)
    if seconds is None:
        return "never"
    if seconds < -1:
        return f"in {duration(-seconds)}"
    if seconds < 5:
        return "just now"
    for size, name in _STEPS:
        if seconds >= size:
            return f"{seconds // size:.0f} {name} ago"
    return f"{seconds:.0f} s ago"


def size(count: float | None) -> str:
    """Bytes."""
    if count is None:
        return "–"
    for name in ("B", "KB", "MB", "GB"):
        if count < 1024 or name == "GB":
            return f"{count:.0f} {name}" if name == "B" or count >= 10 else f"{count:.1f} {name}"
        count /= 1024
    raise AssertionError


def whole(count: float | None) -> str:
    return "–" if count is None else f"{count:,.0f}".replace(",", "\u202f")


def share(part: float, of: float) -> str:
    return "–" if not of else f"{part / of:.1%}"


def pretty(value: Any) -> str:
    """JSON as people read it; text as it is."""
    if isinstance(value, str):
        return visible(value)
    return visible(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


#: Characters that change how the text around them is shown, or cannot be seen at all.
_HIDDEN = {
    **{each: chr(0x2400 + each) for each in range(0x20) if each not in (0x09, 0x0A)},
    0x7F: "\u2421",
    **{
        each: f"\u27e8U+{each:04X}\u27e9"
        for each in (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF)
    },
}


def visible(text: str) -> str:
    """Control characters and marks of direction as signs that can be seen: no text may pretend to be another."""
    return text.translate(_HIDDEN)


def time_tag(text: str | None, now: datetime) -> Markup:
    """Relative, with the absolute time as a title; the page's script counts on and knows the reader's zone."""
    at = moment(text)
    if at is None:
        return Markup('<span class="muted">–</span>')
    absolute = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(text, absolute, ago(text, now))


def status_tag(status: str) -> Markup:
    kind = escape(status.lower())
    return Markup('<span class="status {0}" data-icon="{0}">{1}</span>').format(kind, status)
