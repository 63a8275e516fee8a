"""On a schedule: how full is a disk? The run fails, and so stands out in the list of runs, when it is too full."""

from __future__ import annotations

import shutil
from typing import Any


class DiskTooFull(Exception):
    pass


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """event: a CloudEvent; its data is the schedule's argument, {"path": ..., "warn_percent": ...}."""
    wanted = event["data"]
    total, used, free = shutil.disk_usage(wanted["path"])
    percent = round(100 * used / total, 1)
    print(f"{event['subject']}, due {event['time']}: {wanted['path']} is {percent} % full, {free:,} bytes are free")
    if "missedsince" in event:
        print(f"nobody looked since {event['missedsince']}")
    if percent > wanted["warn_percent"]:
        raise DiskTooFull(f"{percent} % of {wanted['path']} are used")
    return {"due": event["time"], "used_percent": percent}
