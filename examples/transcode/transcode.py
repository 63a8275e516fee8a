"""Long work in a child process, as with ffmpeg: what it says of itself is the run's progress, its end is the run's."""

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
    # No time limit here: the function's own kills both.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as encoder:
        assert encoder.stdout is not None
        for line in encoder.stdout:  # "frame  1200   40 %"
            print(line, end="")
            *frame, percent, _ = line.split()
            context.progress(int(percent) / 100, " ".join(frame))
    if encoder.returncode != 0:
        raise TranscodeFailed(f"the encoder ended with {encoder.returncode}")
    return {"seconds": seconds}
