"""What was uploaded: one line of a ledger for each object, whatever store it is in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def record_upload(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """event: the data of a storage trigger (`event_format: data`).

    An object may be told of more than once, and by a listing too: `objectVersion` names its content.
    """
    entry = {
        "object": f"{event['bucket']}/{event['key']}",
        "version": event.get("objectVersion"),
        "size": event.get("size"),
        "what": event["eventName"],
        "at": event.get("time"),
    }
    line = json.dumps(entry, ensure_ascii=False)
    print(line)
    with (Path(os.environ.get("LEDGER_DIR", ".")) / "uploads.jsonl").open("a", encoding="utf-8") as ledger:
        ledger.write(line + "\n")
    return entry
