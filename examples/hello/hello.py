from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    name = event.get("name", "world")
    print(f"saying hello to {name}")
    return {"greeting": f"Hello, {name}!", "request_id": context.aws_request_id}
