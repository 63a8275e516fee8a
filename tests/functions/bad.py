"""Handlers that end in every way a handler can, for tests of what a user is told about it."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any, NoReturn


def good(event: Any, context: Any) -> Any:
    return event


def raises(event: Any, context: Any) -> NoReturn:
    print("about to raise")
    raise ValueError("no such order: 4711")


def exits_0(event: Any, context: Any) -> NoReturn:
    print("about to leave")
    sys.exit(0)


def exits_3(event: Any, context: Any) -> NoReturn:
    print("about to leave")
    os._exit(3)


def crashes(event: Any, context: Any) -> None:
    print("about to crash")
    ctypes.string_at(0)


def returns_a_set(event: Any, context: Any) -> Any:
    return {1, 2}


def loops(event: Any, context: Any) -> None:
    print("about to loop")
    while True:
        pass


def returns_a_megabyte(event: Any, context: Any) -> Any:
    return os.urandom(450_000).hex()  # what compression does not make small


def returns_ten_megabytes(event: Any, context: Any) -> Any:
    return "x" * 10_000_000


def raises_ten_megabytes(event: Any, context: Any) -> NoReturn:
    raise ValueError("x" * 10_000_000)


def returns_a_deep_nest(event: Any, context: Any) -> Any:
    nest: list[Any] = []
    for _ in range(event["levels"]):
        nest = [nest]
    return nest
