"""What the benchmark of schedules runs."""

from __future__ import annotations

import os
import time
from typing import Any


def due(event: dict[str, Any], context: Any) -> None:
    """Notes its clock at its first line (Unix seconds), and which schedule was due when; ARRIVALS names the file."""
    now = time.time()
    line = f"{now} {event['subject']} {event['time']}\n"
    descriptor = os.open(os.environ["ARRIVALS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
