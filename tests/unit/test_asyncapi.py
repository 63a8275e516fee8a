"""/asyncapi.json against the table of topics and against the bytes that the records are."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types
import orjson
import pytest

from processor.core.codec import encode_structured
from processor.core.control import Cancel
from processor.core.event import FUNCTION_ATTRIBUTE, Event
from processor.core.function import Function, FunctionVersion, encode_function
from processor.core.inflight import Intent, Sign, SignKind
from processor.core.ledger import Accepted, Ended, Position, Started, encode
from processor.core.run import Delivery, RunError, StatusCode
from processor.core.topics import TOPICS, Keep
from processor.gateway.asyncapi import QUEUE, RECORDS, document
from processor.registry.view import encode_grave
from triggers.schedule.record import encode_settled

RUN = "1b4e28ba-2fa1-8d7c-883f-0016d3cca427"
DELIVERY = Delivery("queue.resize.1", 0, 7)
ACCEPTED = Accepted(
    request_id=RUN, function="resize", version="v", trigger="http", source="s", event_id="e", subject=None,
    accepted_at_ms=1, intake=Position(0, 0, 1),
)  # fmt: skip
STARTED = Started(request_id=RUN, function="resize", delivery=DELIVERY, executor="e#1", started_at_ms=1)
ENDED = Ended(
    request_id=RUN, function="resize", delivery=DELIVERY, status_code=StatusCode.HANDLER_RAISED,
    error=RunError(type="ValueError", message="m"), result=b"[1]",
)  # fmt: skip
UNQUEUED = Ended(request_id=RUN, function="resize", delivery=None, status_code=StatusCode.FUNCTION_NOT_FOUND)
FUNCTION = Function(name="resize", current=FunctionVersion(version="v", handler="m:f", code_digest="d"))
EVENT = Event(id="1", source="s", type="t", extensions={FUNCTION_ATTRIBUTE: "resize"}, data=b"{}")
BEAT = Sign(kind=SignKind.HEARTBEAT, process="e#1", role="executor", at_ms=1, room=False)
INTENT = Intent(executor="e#1", request_id=RUN, function="resize", delivery=DELIVERY, batch=1)


def test_every_topic_of_the_table_is_a_channel_with_its_settings() -> None:
    channels = document()["channels"]
    assert channels.keys() == {topic.name for topic in TOPICS} | {QUEUE}
    for topic in TOPICS:
        channel = channels[topic.name]
        kafka = channel["bindings"]["kafka"]
        assert (channel["address"], kafka["partitions"]) == (topic.name, topic.partitions)
        assert f"Key: {topic.key}." in channel["description"]
        policy = set(kafka["topicConfiguration"]["cleanup.policy"])
        assert policy == set((topic.keep.value if topic.keep is not Keep.UNTIL_CONSUMED else "delete").split(","))
        kept_ms = -1 if topic.keep is Keep.UNTIL_CONSUMED else topic.retention_ms
        assert kafka["topicConfiguration"].get("retention.ms") == kept_ms


def test_every_reference_leads_somewhere_and_every_record_is_used() -> None:
    found = document()
    used = set()

    def follow(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                target = found
                for part in node["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
                used.add(node["$ref"].rpartition("/")[2])
            for each in node.values():
                follow(each)
        elif isinstance(node, list):
            for each in node:
                follow(each)

    follow(found)
    assert used >= RECORDS.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event", encode_structured(EVENT)),
        ("accepted", encode(ACCEPTED)),
        ("started", encode(STARTED)),
        ("ended", encode(ENDED)),
        ("ended", encode(UNQUEUED)),
        ("intent", INTENT.encode()),
        ("sign", BEAT.encode()),
        ("function", encode_function(FUNCTION)),
        ("function", encode_grave(1)),
        ("settled", encode_settled(1_795_478_400)),
        ("cancel", Cancel(request_id=RUN).encode()),
    ],
)
def test_the_records_that_are_written_are_as_described(name: str, value: bytes) -> None:
    schema = RECORDS[name][1]
    jsonschema.validate(orjson.loads(value), schema)
    if schema.get("required"):
        written = orjson.loads(value).keys()
        assert name in ("event", "function") or set(schema["required"]) == written, "a member is not described"


def test_the_description_tells_a_record_from_another() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(orjson.loads(encode(STARTED)), RECORDS["accepted"][1])
