"""Takes orders over HTTP, in the shape of an AWS HTTP API event: the same handler runs on Lambda."""

from __future__ import annotations

import base64
import json
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    body = event.get("body", "")
    if event["isBase64Encoded"]:
        body = base64.b64decode(body).decode()
    order = json.loads(body)
    shop = event["pathParameters"]["shop"]
    total = sum(line["price"] * line.get("count", 1) for line in order["lines"])
    print(f"{event['requestContext']['http']['method']} from {shop}: {len(order['lines'])} lines, {total:.2f} in all")
    return {"shop": shop, "total": round(total, 2), "request_id": context.aws_request_id}
