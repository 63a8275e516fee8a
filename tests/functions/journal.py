"""Handlers that leave evidence the product did not write: one line per start, in a file opened for appending."""

from __future__ import annotations

import os
import time
from typing import Any


def run(event: Any, context: Any) -> str:
    """JOURNAL names the file; the event may ask for a pause (sec)."""
    note(f"{context['request_id']} {os.getpid()} start")
    time.sleep(event.get("sec", 0.0))
    note(f"{context['request_id']} {os.getpid()} end")
    return str(context["request_id"])


def until_gate(event: Any, context: Any) -> str:
    """GATE names the file whose appearance ends it."""
    note(f"{context['request_id']} {os.getpid()} start")
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.05)
    note(f"{context['request_id']} {os.getpid()} end")
    return str(context["request_id"])


def note(line: str) -> None:
    descriptor = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
