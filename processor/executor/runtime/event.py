from __future__ import annotations

import base64
from typing import Any

import orjson


def event_for_handler(payload: bytes, event_format: str) -> Any:
    """The first argument of the handler. payload: a CloudEvents structured-mode JSON document.

    "cloudevents": all of it. "data": its data; none is {} (as with Lambda); binary data is str where the content type
    says text, the parsed document where it says JSON, else bytes. Raises ValueError.
    """
    document = orjson.loads(payload)
    if not isinstance(document, dict):
        raise ValueError("not a CloudEvent")
    if event_format == "cloudevents":
        return document
    if "data" in document:
        return document["data"]
    if "data_base64" in document:
        return _binary(
            base64.b64decode(str(document["data_base64"]), validate=True), document.get("datacontenttype") or ""
        )
    return {}


def _binary(data: bytes, content_type: str) -> Any:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith(("/json", "+json")):
        return orjson.loads(data)
    return data.decode("utf-8", "replace") if kind.startswith("text/") else data
