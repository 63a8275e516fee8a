"""Processes that a planted one starts are planted too: `python -m MODULE ...` becomes `python -m tests.planted.run`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

RUN = "tests.planted.run"
#: Modules of the project: nobody else has anything to plant.
OURS = ("processor", "tests", "triggers")


def planted_command(name: str, command: Sequence[str]) -> list[str]:
    """The same command with the plant, if it runs a module of ours."""
    words = list(command)
    if not words or words[0] != sys.executable or "-m" not in words[:3]:
        return words
    at = words.index("-m") + 1
    if words[at] == RUN or words[at].partition(".")[0] not in OURS:
        return words
    return [*words[:at], RUN, name, *words[at:]]


def inherit(name: str) -> None:
    class Planted(subprocess.Popen):  # type: ignore[type-arg]  # text or bytes, as its caller wants
        def __init__(self, args: Any, *more: Any, **options: Any) -> None:
            super().__init__(planted_command(name, args) if isinstance(args, list | tuple) else args, *more, **options)

    subprocess.Popen = Planted  # type: ignore[misc]  # whoever starts a process in a planted one, from here on
