from __future__ import annotations

import time
from collections.abc import Callable

_LOOK_SEC = 0.1


def until(true: Callable[[], object], complaint: str = "waited in vain", *, limit_sec: float = 60.0) -> None:
    """For what another process does, which nothing here can be told of: looks again until it has happened."""
    deadline_sec = time.monotonic() + limit_sec
    while not true():
        assert time.monotonic() < deadline_sec, complaint
        time.sleep(_LOOK_SEC)
