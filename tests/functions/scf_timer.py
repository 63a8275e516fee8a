"""After the platforms' samples for timers: Tencent SCF's main_handler, and AWS Lambda's for a scheduled event."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any


def main_handler(event: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    print("received", json.dumps(event), "request", context["request_id"])
    if event["Type"] != "Timer":
        raise ValueError("not started by a timer")
    at = datetime.strptime(event["Time"], "%Y-%m-%dT%H:%M:%SZ")
    return {"trigger": event["TriggerName"], "second": at.second, "message": json.loads(event["Message"])}


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if event.get("source") != "aws.events" or event.get("detail-type") != "Scheduled Event":
        raise ValueError("not started by a schedule")
    rule = event["resources"][0].split("/")[-1]
    at = datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ")
    return {"rule": rule, "second": at.second, "account": len(event["account"]), "detail": event["detail"]}
