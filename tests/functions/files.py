"""Handlers of watched folders."""

from __future__ import annotations

import os
from typing import Any


def arrived(event: Any, context: Any) -> None:
    """One line per start in the file JOURNAL: the RequestId and the file's key."""
    descriptor = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{context['request_id']} {event['key']}\n".encode())
    finally:
        os.close(descriptor)
