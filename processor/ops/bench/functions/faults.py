"""What the benchmark of faults runs."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGSEGV": signal.SIGSEGV}


def die(event: Any, context: Any) -> None:
    """Notes its clock in the file MARKS and dies in the way that the event asks for."""
    mark(context["request_id"])
    if event["how"] == "exit":
        os._exit(3)
    os.kill(os.getpid(), SIGNALS[event["how"]])
    time.sleep(10)  # the signal is on its way


def hold(event: Any, context: Any) -> None:
    """Notes that it runs, and goes on running."""
    mark(context["request_id"])
    time.sleep(event["sec"])


def keep(event: Any, context: Any) -> str:
    """The same, and notes that it has come to its end."""
    hold(event, context)
    mark(context["request_id"], "kept")
    return str(context["request_id"])


def mark(request_id: str, what: str = "begun") -> None:
    descriptor = os.open(os.environ["MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{request_id} {time.time():.6f} {what}\n".encode())
    finally:
        os.close(descriptor)
