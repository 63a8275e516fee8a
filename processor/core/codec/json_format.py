"""The CloudEvents JSON format: structured mode on Kafka and HTTP, and the form in which events travel inside."""

from __future__ import annotations

import base64
import binascii

import orjson

from processor.core.codec.attributes import SPECVERSION, Malformed, Unencodable, fault_of, to_event
from processor.core.codec.json_member import member
from processor.core.event import Event, is_json_type

STRUCTURED_CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"

_DATA = b'"data":'


def encode_structured(event: Event) -> bytes:
    """One JSON document, `data` last. JSON data goes in byte for byte, other text as a JSON string, the rest as base64.

    Raises Unencodable, so that nothing is ever accepted that `decode_structured` would refuse.
    """
    fault = fault_of(event)
    if fault:
        raise Unencodable(fault)
    document: dict[str, object] = {
        "specversion": SPECVERSION,
        "id": event.id,
        "source": event.source,
        "type": event.type,
    }
    if event.subject:
        document["subject"] = event.subject
    if event.time:
        document["time"] = event.time
    if event.datacontenttype:
        document["datacontenttype"] = event.datacontenttype
    if event.dataschema:
        document["dataschema"] = event.dataschema
    document.update(event.extensions)
    if event.data is not None:
        _add_data(document, event.datacontenttype, event.data)
    try:
        return orjson.dumps(document)
    except TypeError as error:
        raise Unencodable(f"an attribute is not valid Unicode text: {error}") from error


def decode_structured(value: bytes) -> Event | Malformed:
    """`data` comes back byte for byte, whatever the layout of the document."""
    at = value.find(_DATA)
    if at > 0:
        event = _decode_data_last(value, at)
        if event is not None:
            return event
    return _decode_any_layout(value)


def _add_data(document: dict[str, object], content_type: str | None, data: bytes) -> None:
    if is_json_type(content_type):
        if _is_json(data):  # otherwise `1,"id":"forged"` as data would become part of the envelope
            document["data"] = orjson.Fragment(data)
            return
    elif _is_text_type(content_type):
        try:
            document["data"] = data.decode()
        except UnicodeDecodeError:
            pass
        else:
            return
    document["data_base64"] = base64.b64encode(data).decode()


def _decode_data_last(value: bytes, at: int) -> Event | Malformed | None:
    """The layout of `encode_structured` and of most producers: what stands before `data` is parsed, `data` is only
    checked. None for any other layout.

    A valid object before it, with a comma, and a valid value after it prove that `at` is the top-level member: inside
    a string the quotes would be escaped, and inside another member one of the two halves would not be valid.
    """
    head, data = value[:at].rstrip(), value[at + len(_DATA) :].rstrip()[:-1]
    if head[-1:] != b"," or value.rstrip()[-1:] != b"}":
        return None
    try:
        attributes = orjson.loads(head[:-1] + b"}")
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if "data" in attributes or "data_base64" in attributes:
        return None
    return to_event(attributes, _data_bytes(attributes.get("datacontenttype"), parsed, data))


def _decode_any_layout(value: bytes) -> Event | Malformed:
    try:
        attributes = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return Malformed(f"the event is not valid JSON: {error}")
    if not isinstance(attributes, dict):
        return Malformed("the event must be a JSON object with the CloudEvents attributes as members")
    data: bytes | Malformed | None = None
    if attributes.get("data_base64") is not None:
        data = _decode_base64(attributes)
    elif "data" in attributes:
        data = _decode_data(attributes, value)
    attributes.pop("data_base64", None)
    return data if isinstance(data, Malformed) else to_event(attributes, data)


def _decode_base64(attributes: dict[str, object]) -> bytes | Malformed:
    if "data" in attributes:
        return Malformed("the event has both 'data' and 'data_base64': send one of them")
    text = attributes["data_base64"]
    if not isinstance(text, str):
        return Malformed("'data_base64' must be a string in base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: text that is not ASCII
        return Malformed(f"'data_base64' is not valid base64: {error}")


def _decode_data(attributes: dict[str, object], value: bytes) -> bytes | Malformed:
    parsed = attributes.pop("data")
    try:
        raw = member(value.decode(), "data").encode()
    except RecursionError:
        return Malformed("'data' is nested too deep: send it as 'data_base64', or flatter")
    return _data_bytes(attributes.get("datacontenttype"), parsed, raw)


def _data_bytes(content_type: object, parsed: object, raw: bytes) -> bytes:
    """A JSON string under a content type that is not JSON stands for its text; everything else is JSON as written."""
    if type(parsed) is str and type(content_type) is str and not is_json_type(content_type):
        return parsed.encode()
    return raw


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_text_type(content_type: str | None) -> bool:
    """Text whose characters a reader of a JSON string gets right: any other charset than UTF-8 stays bytes."""
    kind, _, parameters = (content_type or "").lower().partition(";")
    kind, parameters = kind.strip(), parameters.replace(" ", "").replace('"', "")
    if "charset=" in parameters and "charset=utf-8" not in parameters:
        return False
    return kind.startswith("text/") or kind.endswith(("/xml", "+xml", "/yaml", "+yaml"))
