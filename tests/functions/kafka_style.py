"""After the published Kafka samples of AWS Lambda and Tencent SCF."""

from __future__ import annotations

import base64
from typing import Any


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    values, keys, headers = [], [], []
    for partition, records in event["records"].items():
        print("partition", partition, "from", event["eventSource"], event["bootstrapServers"].split(",")[0])
        for record in records:
            values.append(base64.b64decode(record["value"]).decode("utf-8"))
            keys.append(base64.b64decode(record["key"]).decode("utf-8") if record.get("key") else None)
            headers.append({name: bytes(value).decode() for each in record["headers"] for name, value in each.items()})
    return {"values": values, "keys": keys, "headers": headers}


def main_handler(event: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    bodies, keyed = [], 0
    for record in event["Records"]:
        message = record["Ckafka"]
        print("topic:", message["topic"], "offset:", message["offset"])
        bodies.append(message["msgBody"])
        keyed += message["msgKey"] != "None"
    return {"bodies": bodies, "keyed": keyed}
