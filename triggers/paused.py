"""What becomes of what happens at the source of a paused trigger. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triggers.http.declared import is_called

_WAITS = "what happens meanwhile waits at the source"
_CALLERS = "who calls it is answered 503 with Retry-After, and has to call again"
#: By `missed` of a schedule.
_TIMES = {
    "skip": "times that pass meanwhile are left out",
    "last": "of the times that pass meanwhile the last one fires once it is resumed",
    "all": "times that pass meanwhile fire once it is resumed, up to max_catchup",
}


def while_paused(kind: str, settings: Mapping[str, Any]) -> str:
    if kind == "schedule":
        return _TIMES[settings.get("missed", "last")]
    return _CALLERS if is_called(kind, settings) else _WAITS
