"""Its process has reached the limit of processes, as far as it can tell."""

from __future__ import annotations

import errno
import os
from typing import Any


def _refuse() -> int:
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


os.fork = _refuse


def handler(event: Any, context: Any) -> None: ...
