"""The official SDK as a second opinion, where it is right.

Where it is wrong we keep to the specification: it takes structured records with ce_ headers for binary ones, raises on
foreign headers and keys that are not UTF-8, adds `partitionkey` from the record's key, and turns no data into b"".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from cloudevents.core.bindings import http as sdk_http
from cloudevents.core.bindings import kafka as sdk_kafka
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from processor.core.codec import STRUCTURED_CONTENT_TYPE, decode_http, decode_kafka, encode_structured
from processor.core.event import Event

WORD = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=12)
ATTRIBUTES = st.fixed_dictionaries(
    {"id": WORD, "source": WORD, "type": WORD, "specversion": st.just("1.0"), "time": st.just("2026-11-24T10:00:00Z")},
    optional={"subject": WORD, "dataschema": st.just("urn:x"), "myext": WORD},
)
JSON_DATA = st.dictionaries(WORD, st.integers(-9, 9) | WORD | st.booleans() | st.none(), max_size=3)


def sdk_event(attributes: dict[str, Any], data: Any) -> CloudEvent:
    attributes = dict(attributes)
    attributes["time"] = datetime.fromisoformat(attributes["time"])  # left out, the SDK would invent one
    return CloudEvent(attributes | {"datacontenttype": "application/json"}, data)


def check(event: object, attributes: dict[str, Any], data: Any) -> None:
    assert isinstance(event, Event), event
    assert (event.id, event.source, event.type) == (attributes["id"], attributes["source"], attributes["type"])
    assert (event.subject, event.dataschema) == (attributes.get("subject"), attributes.get("dataschema"))
    assert event.extensions.get("myext") == attributes.get("myext")
    assert event.time == attributes["time"]
    assert orjson.loads(event.data or b"null") == data


@given(ATTRIBUTES, JSON_DATA)
def test_we_read_what_the_sdk_writes_to_kafka(attributes: dict[str, Any], data: dict[str, Any]) -> None:
    for write in (sdk_kafka.to_binary_event, sdk_kafka.to_structured_event):
        message = write(sdk_event(attributes, data))
        check(decode_kafka(list(message.headers.items()), message.value), attributes, data)


@given(ATTRIBUTES, JSON_DATA)
def test_we_read_what_the_sdk_writes_to_http(attributes: dict[str, Any], data: dict[str, Any]) -> None:
    for write in (sdk_http.to_binary_event, sdk_http.to_structured_event):
        message = write(sdk_event(attributes, data))
        headers = [(name.encode(), value.encode()) for name, value in message.headers.items()]
        check(decode_http(headers, message.body), attributes, data)


@given(ATTRIBUTES, JSON_DATA)
def test_the_sdk_reads_what_we_write(attributes: dict[str, Any], data: dict[str, Any]) -> None:
    extensions = {"myext": attributes["myext"]} if "myext" in attributes else {}
    event = Event(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        subject=attributes.get("subject"),
        datacontenttype="application/json",
        extensions=extensions,
        data=orjson.dumps(data),
    )
    message = sdk_kafka.KafkaMessage({"content-type": STRUCTURED_CONTENT_TYPE.encode()}, None, encode_structured(event))
    found = sdk_kafka.from_structured_event(message)
    assert (found.get_id(), found.get_source(), found.get_type()) == (event.id, event.source, event.type)
    assert found.get_subject() == event.subject
    assert found.get_extension("myext") == extensions.get("myext")
    assert found.get_data() == data
