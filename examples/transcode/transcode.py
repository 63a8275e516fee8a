"""Long work in a child process, as with ffmpeg: its output is the run's log, its end is the run's end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class TranscodeFailed(Exception):
    """The child process ended with an error."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """event: {"seconds": how long the work takes, default 60}."""
    seconds = float(event.get("seconds", 60))
    print(f"process {os.getpid()}")
    command = [sys.executable, "-u", str(Path(__file__).parent / "encoder.py"), str(seconds)]
    encoder = subprocess.run(command, check=False)  # no time limit here: the function's own kills both
    if encoder.returncode != 0:
        raise TranscodeFailed(f"the encoder ended with {encoder.returncode}")
    return {"seconds": seconds}
