"""After the Python samples of Tencent SCF: the context is a dict."""

from __future__ import annotations

import json
import logging
from typing import Any

logging.basicConfig(level=logging.INFO)


def main_handler(event: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    logging.info("received %s", json.dumps(event))
    print("request", context["request_id"], "of", context.get("function_name"))
    json.dumps(context)
    names = ("function_name", "function_version", "memory_limit_in_mb", "time_limit_in_ms", "namespace", "environ")
    return {"seen": {name: context[name] for name in names}, "key": event["Records"][0]["cos"]["cosObject"]["key"]}
