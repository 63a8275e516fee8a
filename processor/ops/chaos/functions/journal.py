"""Handlers that leave evidence the product did not write: a line per start and end, in a file opened for appending."""

from __future__ import annotations

import os
import time
from typing import Any


def run(event: Any, context: Any) -> str:
    """JOURNAL names the file; the event may ask for a pause (sec) and for lines of log (lines)."""
    wanted = event if isinstance(event, dict) else {}
    note(f"{context['request_id']} {os.getpid()} start")
    for number in range(int(wanted.get("lines", 0))):
        print(f"line {number}")
    time.sleep(float(wanted.get("sec", 0.0)))
    note(f"{context['request_id']} {os.getpid()} end")
    return str(context["request_id"])


def note(line: str) -> None:
    descriptor = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
