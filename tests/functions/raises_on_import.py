from __future__ import annotations

from typing import Any

print("about to fail")
raise RuntimeError("no configuration")


def handler(event: Any, context: Any) -> None: ...
