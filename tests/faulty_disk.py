"""A disk whose n-th write, sync or truncate of some file fails, for programs that are started for it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from enum import IntEnum
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")
_COMPILE_SEC = 60.0
_FOR_EVER = 1_000_000


class Fault(IntEnum):
    """As in the C file."""

    NO_SPACE = 1
    IO_ERROR = 2
    SHORT = 3  # half of it is written, and then there is no room for the rest
    KILL_BEFORE = 4
    KILL_TORN = 5  # half of it is written
    KILL_AFTER = 6

    @property
    def kills(self) -> bool:
        return self >= Fault.KILL_BEFORE

    @property
    def calls(self) -> int:
        """How many fail: who writes what was cut short tries the rest once more."""
        return 2 if self is Fault.SHORT else 1


def built(folder: Path) -> Path:
    """The library to start a program with. Skips the test where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler: a failing disk needs one (Debian: gcc)")
    library = folder / "faulty_disk.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, timeout=_COMPILE_SEC)
    return library


def environment(library: Path) -> dict[str, str]:
    return {**os.environ, "LD_PRELOAD": str(library)}


def arm(file: str, number: int, fault: Fault, *, for_ever: bool = False) -> None:
    """In the program: the number-th call (from 1) from now on that changes a file with this in its path."""
    calls = _FOR_EVER if for_ever else fault.calls
    ctypes.CDLL(None).faulty_disk_arm(os.fsencode(file), ctypes.c_long(number), ctypes.c_long(calls), int(fault))


def disarm() -> int:
    """Returns how many calls there were since."""
    count = ctypes.CDLL(None).faulty_disk_calls
    count.restype = ctypes.c_long
    calls = int(count())
    ctypes.CDLL(None).faulty_disk_arm(b"", ctypes.c_long(0), ctypes.c_long(0), 0)
    return calls
