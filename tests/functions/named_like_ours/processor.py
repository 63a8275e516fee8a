"""A function's module may have the name of Headrace's own package."""

from __future__ import annotations

from typing import Any


def handler(event: Any, context: Any) -> str:
    return __name__
