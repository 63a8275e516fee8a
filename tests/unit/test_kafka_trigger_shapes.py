"""The platforms' shapes against the events their documentation shows, and handlers written for them."""

from __future__ import annotations

import base64
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from processor.core.event import Event
from processor.core.topics import MAX_EVENT_BYTES
from triggers.abstract import Binding
from triggers.kafka.abstract import BadRecord, Mixed, SourceRecord
from triggers.kafka.events import normaliser_of
from triggers.kafka.shapes import AwsShape, PlainShape, ScfShape
from triggers.kafka.values import Kind, value_of

FUNCTIONS = Path(__file__).parents[1] / "functions"
SERVERS = (
    "b-2.demo-cluster-1.a1bcde.c1.kafka.us-east-1.amazonaws.com:9092,"
    "b-1.demo-cluster-1.a1bcde.c1.kafka.us-east-1.amazonaws.com:9092"
)
#: AWS Lambda Developer Guide, "Using Lambda with self-managed Apache Kafka", example event.
AWS_EXAMPLE = {
    "eventSource": "SelfManagedKafka",
    "bootstrapServers": SERVERS,
    "records": {
        "mytopic-0": [
            {
                "topic": "mytopic",
                "partition": 0,
                "offset": 15,
                "timestamp": 1545084650987,
                "timestampType": "CREATE_TIME",
                "key": "cmVjb3JkS2V5",
                "value": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
                "headers": [{"headerKey": [104, 101, 97, 100, 101, 114, 86, 97, 108, 117, 101]}],
            }
        ]
    },
}
AWS_RECORD = SourceRecord(
    "c", "mytopic", 0, 15, 1545084650987, b"recordKey", b"Hello, this is a test.", [("headerKey", b"headerValue")]
)
#: Tencent Cloud SCF documentation, "CKafka Trigger", event of the trigger.
SCF_EXAMPLE = {
    "Records": [
        {
            "Ckafka": {
                "topic": "test-topic",
                "partition": 1,
                "offset": 36,
                "msgKey": "None",
                "msgBody": "Hello from Ckafka!",
            }
        },
        {
            "Ckafka": {
                "topic": "test-topic",
                "partition": 1,
                "offset": 37,
                "msgKey": "None",
                "msgBody": "Hello from Ckafka again!",
            }
        },
    ]
}


def record(
    value: bytes | None = b"{}", *, key: bytes | None = None, headers: Any = (), offset: int = 0
) -> SourceRecord:
    return SourceRecord("c", "t", 0, offset, 1_700_000_000_000, key, value, headers)


def rendered(shape: AwsShape | ScfShape | PlainShape, *records: SourceRecord) -> Any:
    elements = [each for each in map(shape.element, records) if isinstance(each, bytes)]
    assert len(elements) == len(records)
    return orjson.loads(shape.wrap(f"{records[0].topic}-{records[0].partition}", elements))


def handlers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kafka_style", FUNCTIONS / "kafka_style.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_aws_shape_is_the_published_example() -> None:
    found = rendered(AwsShape("auto", SERVERS), AWS_RECORD)
    assert found == AWS_EXAMPLE
    assert list(found["records"]["mytopic-0"][0]) == list(AWS_EXAMPLE["records"]["mytopic-0"][0])  # type: ignore[index]  # a document


def test_without_key_or_value_aws_has_no_such_member() -> None:
    (found,) = rendered(AwsShape("auto", SERVERS), record(None))["records"]["t-0"]
    assert "key" not in found
    assert "value" not in found
    assert found["headers"] == []


def test_the_scf_shape_is_the_published_example() -> None:
    records = [
        SourceRecord("c", "test-topic", 1, 36, 0, None, b"Hello from Ckafka!"),
        SourceRecord("c", "test-topic", 1, 37, 0, None, b"Hello from Ckafka again!"),
    ]
    assert rendered(ScfShape("auto"), *records) == SCF_EXAMPLE


@pytest.mark.parametrize(
    ("key", "value", "msg_key", "msg_body"),
    [
        (b"k", b'{"a":1}', "k", '{"a":1}'),
        (b"", b"", "", ""),
        (None, None, "None", "None"),
        (b"\xff", b"\xfe\x00", "/w==", "/gA="),
    ],
)
def test_scf_bodies_are_text_whatever_the_record_holds(
    key: bytes | None, value: bytes | None, msg_key: str, msg_body: str
) -> None:
    (found,) = rendered(ScfShape("auto"), record(value, key=key))["Records"]
    assert (found["Ckafka"]["msgKey"], found["Ckafka"]["msgBody"]) == (msg_key, msg_body)


def test_handlers_written_for_the_platforms_run_unmodified() -> None:
    aws = rendered(AwsShape("auto", SERVERS), AWS_RECORD, AWS_RECORD._replace(key=None, value=b'{"a": 1}'))
    assert handlers().lambda_handler(aws, None) == {
        "values": ["Hello, this is a test.", '{"a": 1}'],
        "keys": ["recordKey", None],
        "headers": [{"headerKey": "headerValue"}, {"headerKey": "headerValue"}],
    }
    scf = rendered(ScfShape("auto"), record(b"one", key=b"k"), record(b"two", offset=1))
    assert handlers().main_handler(scf, {}) == {"bodies": ["one", "two"], "keyed": 1}


def test_our_own_batches_keep_json_as_json_and_bytes_as_base64() -> None:
    headers = [("h", b"v"), ("h", b"\xff")]
    found = rendered(
        PlainShape("auto"),
        record(b'{"n":1}', key=b"k", headers=headers),
        record(b"text", key=b"\xff", offset=1),
        record(b"\xff", offset=2),
        record(None, offset=3),
    )["records"]
    assert [each.get("value", each.get("value_base64")) for each in found] == [{"n": 1}, "text", "/w==", None]
    assert found[0]["headers"] == [{"name": "h", "value": "v"}, {"name": "h", "value_base64": "/w=="}]
    assert (found[0]["key"], found[1]["key_base64"], "key" in found[2]) == ("k", "/w==", False)
    assert found[0]["time"] == "2023-11-14T22:13:20.000Z"


@pytest.mark.parametrize(
    ("data", "declared", "kind"),
    [
        (b'{"a":1}', "auto", Kind.JSON),
        (b"17", "auto", Kind.JSON),
        (b"", "auto", Kind.TEXT),
        (b"NaN", "auto", Kind.TEXT),
        ("Ünïcode".encode(), "auto", Kind.TEXT),
        (b"\xff", "auto", Kind.BINARY),
        (b'{"a":1}', "text", Kind.TEXT),
        (b'{"a":1}', "base64", Kind.BINARY),
        (None, "json", Kind.NOTHING),
    ],
)
def test_values_are_what_they_are_declared_to_be(data: bytes | None, declared: str, kind: Kind) -> None:
    found = value_of(data, declared)
    assert not isinstance(found, BadRecord)
    assert found == (kind, data or b"")


@pytest.mark.parametrize(
    ("data", "declared", "reason"),
    [
        (b"", "json", "declared as JSON"),
        (b"{'a':1}", "json", "declared as JSON"),
        (b"\xff", "text", "not UTF-8"),
        (b"[" * 1_010 + b"]" * 1_010, "auto", "nested too deep"),
    ],
)
def test_values_that_break_their_declaration_are_poison(data: bytes, declared: str, reason: str) -> None:
    found = value_of(data, declared)
    assert isinstance(found, BadRecord)
    assert reason in found.reason


def test_many_brackets_that_are_not_deep_are_no_poison() -> None:
    assert not isinstance(value_of(orjson.dumps([[]] * 2_000 + ['[["[' * 400, '\\"[']), "json"), BadRecord)


def events(value: bytes | None, **settings: Any) -> list[Event] | BadRecord:
    binding = Binding(function="f", creation=1, kind="kafka", settings={"topic": "t", **settings})
    found = normaliser_of(binding, SERVERS)(record(value, key=b"k"))
    assert not isinstance(found, Mixed)
    return found if isinstance(found, BadRecord) else list(found)


def test_one_record_one_event_in_a_platforms_shape_too() -> None:
    found = events(b"x", event_format="aws")
    assert isinstance(found, list)
    (event,) = found
    assert event.is_json
    assert base64.b64decode(orjson.loads(event.data or b"")["records"]["t-0"][0]["value"]) == b"x"


@pytest.mark.parametrize("event_format", ["cloudevents", "data", "scf", "aws"])
def test_what_does_not_fit_into_an_event_is_poison_in_every_shape(event_format: str) -> None:
    found = events(b"x" * (MAX_EVENT_BYTES + 1), event_format=event_format)
    assert isinstance(found, BadRecord)
    assert "the limit is 1,000,000" in found.reason


def test_a_time_that_is_none_does_not_stop_a_record() -> None:
    for timestamp_ms in (-1, 10**18):
        binding = Binding(function="f", creation=1, kind="kafka", settings={"topic": "t"})
        found = normaliser_of(binding, SERVERS)(record()._replace(timestamp_ms=timestamp_ms))
        assert not isinstance(found, BadRecord | Mixed)
        assert found[0].time is None
