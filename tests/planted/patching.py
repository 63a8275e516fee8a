"""How a plant gets into the product: the attribute of a module or class is replaced, in this process only."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class NothingToReplace(AssertionError):
    """The product has no such name any more: the plant has to follow it."""


def replace(owner: Any, name: str, value: object) -> None:
    """owner: a class or a module."""
    if not hasattr(owner, name):
        raise NothingToReplace(f"{owner.__name__}.{name}")
    setattr(owner, name, value)


def replace_everywhere(home: ModuleType, name: str, value: object) -> None:
    """Of a function that others import by its name: those that have done so already get the other one too."""
    original = getattr(home, name)
    for module in [home, *(each for each in list(sys.modules.values()) if vars(each).get(name) is original)]:
        replace(module, name, value)
