"""Totals of a batch of orders out of a Kafka topic; what is no order is named and left out."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    records = event["records"]
    first, last = records[0], records[-1]
    print(f"{first['topic']}/{first['partition']}: offsets {first['offset']} to {last['offset']}")
    totals: dict[str, float] = defaultdict(float)
    for record in records:
        order = record.get("value")
        if isinstance(order, dict) and "product" in order and isinstance(order.get("amount"), (int, float)):
            totals[order["product"]] += order["amount"]
        else:
            print(f"offset {record['offset']} is no order")
    return {"orders": len(records), "totals": dict(totals)}
