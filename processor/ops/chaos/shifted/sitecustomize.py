"""Every Python process with this folder on its path has a wall clock that somebody else can set: the file CHAOS_CLOCK
holds by how many nanoseconds it is off, and may be changed at any time. CLOCK_MONOTONIC and CLOCK_BOOTTIME stay.
"""

from __future__ import annotations

import mmap
import os
import struct
import time

_NANOSECONDS = struct.Struct("<q")


def _shift(path: str) -> None:
    with open(path, "rb") as file:
        shared = mmap.mmap(file.fileno(), _NANOSECONDS.size, access=mmap.ACCESS_READ)
    real_time, real_time_ns = time.time, time.time_ns

    def off_ns() -> int:
        return int(_NANOSECONDS.unpack_from(shared)[0])

    vars(time).update(time=lambda: real_time() + off_ns() / 1e9, time_ns=lambda: real_time_ns() + off_ns())


if os.environ.get("CHAOS_CLOCK"):
    _shift(os.environ["CHAOS_CLOCK"])
