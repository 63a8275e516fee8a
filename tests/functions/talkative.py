"""What the console's tests run: lines at a known pace, an end of every kind."""

from __future__ import annotations

import sys
import time
from typing import Any


def talk(event: dict[str, Any], context: object) -> dict[str, Any]:
    """`lines` lines, one each `pause` seconds; then what the event asks for."""
    for number in range(int(event.get("lines", 3))):
        print(f"line {number} of {event.get('name', 'nobody')}")
        time.sleep(float(event.get("pause", 0)))
    if event.get("complain"):
        print(event["complain"], file=sys.stderr)
    if event.get("fail"):
        raise ValueError(event["fail"])
    return {"said": event.get("name")}


def flood(event: dict[str, Any], context: object) -> None:
    """`lines` lines, as fast as they go."""
    block = "a line of a run that says much\n" * 1_000
    for _ in range(int(event["lines"]) // 1_000):
        sys.stdout.write(block)
