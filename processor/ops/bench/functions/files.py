"""What the benchmark of watched folders runs."""

from __future__ import annotations

import os
import time
from typing import Any


def arrived(event: dict[str, Any], context: Any) -> None:
    """Notes its own clock (Unix seconds) and the file, on one line of the file ARRIVALS."""
    line = f"{time.time():.6f} {event['path']}\n"
    print("here")
    descriptor = os.open(os.environ["ARRIVALS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
