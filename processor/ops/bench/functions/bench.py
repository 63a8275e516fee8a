"""What the benchmark runs."""

from __future__ import annotations

import time
from typing import Any


def noop(event: Any, context: Any) -> None:
    print("noop")


def first_line(event: Any, context: Any) -> float:
    """The handler's own clock at its first line (Unix seconds)."""
    now = time.time()
    print("here")
    return now


def talk(event: Any, context: Any) -> None:
    """Prints its clock at a steady pace, for followers to compare with theirs."""
    for _ in range(event["lines"]):
        print(repr(time.time()), flush=True)
        time.sleep(event["every_sec"])


def flood(event: Any, context: Any) -> float:
    """Prints at most `per_sec` lines a second, in blocks; returns the seconds that it took."""
    begun = time.monotonic()
    block = "a line of a run that says much\n" * 1_000
    for number in range(event["lines"] // 1_000):
        print(block, end="")
        time.sleep(max(begun + (number + 1) * 1_000 / event["per_sec"] - time.monotonic(), 0))
    return time.monotonic() - begun
