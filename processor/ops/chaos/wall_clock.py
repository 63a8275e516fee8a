"""The wall clock of one role, to be set wrong while it runs.

It is shifted inside the Python of the role process: everything of ours that asks what time it is gets the wrong answer,
and so do the libraries written in Python. Not shifted: librdkafka, SQLite, the broker, and the guard, zygotes and
instances (they do not read the variables of the role). A broker that dates records wrongly is another fault.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path

_NANOSECONDS = struct.Struct("<q")
SHIFTED = Path(__file__).with_name("shifted")


class WallClock:
    def __init__(self, file: Path) -> None:
        self._file = file
        file.write_bytes(_NANOSECONDS.pack(0))

    @property
    def environment(self) -> Mapping[str, str]:
        """For the process whose clock it is."""
        path = [str(SHIFTED), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {"CHAOS_CLOCK": str(self._file), "PYTHONPATH": os.pathsep.join(path)}

    def set(self, off_sec: float) -> None:
        """Off by so much, at once; 0: right again. The process has the file mapped: it is written in place."""
        with self._file.open("r+b") as file:
            file.write(_NANOSECONDS.pack(int(off_sec * 1e9)))
