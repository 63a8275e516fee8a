"""Events that other programs post to /v1/events, as CloudEvents: one line for each thing that befell an order."""

from __future__ import annotations

from typing import Any

KIND = "com.example.order."


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """event: the CloudEvent as it was sent. Sent again with the same source and id, it does not come here again."""
    what = event["type"].removeprefix(KIND)
    order = event["data"]["order"]
    print(f"order {order} of {event['source']}: {what}, told at {event.get('time', 'an unknown time')}")
    return {"shop": event["source"], "order": order, "what": what}
