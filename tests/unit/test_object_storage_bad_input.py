"""What nobody should send, and somebody will."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.codec import decode_structured, encode_structured
from processor.core.event import Event
from processor.core.topics import MAX_MESSAGE_BYTES
from triggers.object_storage.notification import MISTAKE, Parsed, parse
from triggers.object_storage.rules import StorageRules
from triggers.object_storage.scrub import scrubbed_bytes

ALL = StorageRules(bucket="b", patterns=("*",))
SECRET = b"q-signature=SECRET"


def record(key: str = "k", **more: Any) -> dict[str, Any]:
    base = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-01-01T00:00:00Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "b"}, "object": {"key": key, "size": 1, "eTag": "e", "sequencer": "1"}},
    }
    return {**base, **more}


def read(*records: Any) -> Parsed:
    return parse(orjson.dumps({"Records": list(records)}), ALL)


def only(parsed: Parsed) -> Event:
    (event,) = parsed.events
    assert decode_structured(encode_structured(event)) == event, "it is a CloudEvent"
    return event


def poisoned(body: bytes) -> str:
    parsed = parse(body, ALL)
    assert parsed.events == ()
    (poison,) = parsed.poison
    return poison.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b'["\\ud800"]', "no JSON"),
        (b"null", "no JSON object"),
        (b"7", "no JSON object"),
        (b"{}", "none that is known"),
        (b'{"Records":{}}', "none that is known"),
        (b'{"Records":[null]}', "neither of S3 nor of COS"),
        (b'{"Records":[["s3"]]}', "neither of S3 nor of COS"),
        (b'{"Records":["s3"]}', "neither of S3 nor of COS"),
        (b'{"Records":[{"s3":null}]}', "eventVersion"),
        (b'{"Records":[{"s3":{},"eventVersion":"2.1"}]}', "eventName"),
        (b'{"detail-type":"Object Created","source":"aws.ec2"}', "aws.ec2"),
        (b'{"TopicArn":"a","Message":"{}","Type":"SubscriptionConfirmation"}', "SubscribeURL"),
        (b'{"TopicArn":"a","Message":"hello"}', "no JSON"),
        (b'{"specversion":"1.0","type":"x"}', "no data"),
        (b'{"specversion":"1.0","type":"x","data_base64":"%"}', "no base64"),
        (b'{"specversion":"1.0","source":"cos.cloud.tencent","data":{"Records":[7]}}', "no COS record"),
        (b'{"message":{"attributes":{"bucketId":"b"},"data":"%"}}', "base64"),
        (b'[{"eventType":"Microsoft.Storage.BlobCreated","subject":"/x","id":"1"}]', "not that of a blob"),
    ],
)
def test_what_is_no_notification_is_poison_with_its_reason(body: bytes, reason: str) -> None:
    assert reason in poisoned(body)


@pytest.mark.parametrize("version", ["1.0", "3.0", "20", "two"])
def test_records_of_another_major_version_are_refused(version: str) -> None:
    parsed = read(record(eventVersion=version))
    assert version in parsed.poison[0].reason
    assert "only 2.x" in parsed.poison[0].reason


@pytest.mark.parametrize("version", ["2.0", "2.6", "2.97"])
def test_records_of_every_minor_version_are_read(version: str) -> None:
    assert only(read(record(eventVersion=version, fieldOfTomorrow={"a": 1})))


def test_deep_nesting_is_poison_however_deep_it_is() -> None:
    for depth in (65, 200, 300, 1_000, 100_000):
        assert "nested" in poisoned(b"[" * depth + b"]" * depth) or "no JSON" in poisoned(b"[" * depth + b"]" * depth)
    inside = b'{"Records":[{"s3":%b}]}' % (b'{"a":' * 300 + b"1" + b"}" * 300)
    assert "nested" in poisoned(inside)


def test_wrappers_without_end_are_poison() -> None:
    document: Any = {"Records": [record()]}
    for _ in range(6):
        document = {"TopicArn": "a", "Message": orjson.dumps(document).decode()}
    assert "wrapped" in poisoned(orjson.dumps(document))


def test_more_bytes_than_any_store_sends_are_not_even_parsed() -> None:
    assert "bytes" in poisoned(b" " * (MAX_MESSAGE_BYTES + 1))


def test_a_message_of_70_kb_is_one_like_any_other() -> None:
    big = record(userMetadata="x" * 70_000)
    assert len(only(read(big)).data or b"") > 70_000


def test_a_thousand_entries_are_a_thousand_events() -> None:
    parsed = read(*(record(f"k{number}") for number in range(1_000)))
    assert len({each.id for each in parsed.events}) == 1_000


def test_one_bad_entry_does_not_take_the_good_ones_along() -> None:
    parsed = read(record("a"), {"s3": 7}, record("b"))
    assert [each.subject for each in parsed.events] == ["a", "b"]
    (poison,) = parsed.poison
    assert orjson.loads(poison.raw) == {"Records": [{"s3": 7}]}, "and can be sent again by itself"


def test_a_key_that_climbs_out_of_its_folder_stays_text() -> None:
    event = only(read(record("../../etc/passwd")))
    assert event.subject == "../../etc/passwd"
    assert orjson.loads(event.data or b"")["key"] == "../../etc/passwd"


@pytest.mark.parametrize("key", ["a%00b", "a\0b"])
def test_nul_in_a_key(key: str) -> None:
    event = only(read(record(key)))
    assert event.subject == "a%00b", "attributes of CloudEvents have no control characters"
    assert orjson.loads(event.data or b"")["key"] == "a\0b"


@pytest.mark.parametrize("key", ["%F0%9F%98%80%0A.png", "😀\n.png"])
def test_emoji_and_line_feeds_in_a_key(key: str) -> None:
    event = only(read(record(key)))
    assert event.subject == "😀%0A.png"
    assert orjson.loads(event.data or b"")["key"] == "😀\n.png"


def test_a_key_that_is_no_utf8_is_told_byte_for_byte_beside() -> None:
    normal = orjson.loads(only(read(record("a%FFb"))).data or b"")
    assert normal["key"] == "a\ufffdb"
    assert base64.b64decode(normal["keyBase64"]) == b"a\xffb"
    assert only(read(record("a%FFb"))).id != only(read(record("a%FEb"))).id
    for event_format in ("aws", "scf"):
        rules = StorageRules(bucket="b", event_format=event_format)
        assert parse(orjson.dumps({"Records": [record("a%FFb")]}), rules).events


@pytest.mark.parametrize("size", [1 << 70, "1" * 5_000, True, [], "-", None, 1.5])
def test_sizes_that_are_none(size: Any) -> None:
    body = orjson.dumps({"Records": [record()]}).replace(b'"size":1', b'"size":%b' % str(size).encode())
    parsed = parse(body if size == 1 << 70 else orjson.dumps({"Records": [_sized(size)]}), ALL)
    assert "size" not in orjson.loads(only(parsed).data or b"")


def _sized(size: Any) -> dict[str, Any]:
    return record(s3={"bucket": {"name": "b"}, "object": {"key": "k", "size": size, "sequencer": "1"}})


def test_a_bucket_with_strange_characters_fits_into_a_uri() -> None:
    strange = record(s3={"bucket": {"name": "a b/ü\n"}, "object": {"key": "k", "sequencer": "1"}})
    rules = StorageRules(bucket="a b/ü\n")
    assert parse(orjson.dumps({"Records": [strange]}), rules).events[0].source == "objectstore:s3/a%20b%2F%C3%BC%0A"


# --- signatures


def cos(**event: Any) -> dict[str, Any]:
    headers = {"Authorization": SECRET.decode(), "authorization": SECRET.decode(), "x-cos-security-token": "SECRET"}
    return {
        "cos": {"cosObject": {"key": "/1/b/k", "size": 1}, "cosBucket": {"name": "b", "appid": "1"}},
        "event": {
            "eventName": "cos:ObjectCreated:Put",
            "requestParameters": {"requestHeaders": {**headers, "Host": "h"}},
            **event,
        },
    }


@pytest.mark.parametrize("event_format", ["cloudevents", "data", "scf", "aws"])
def test_no_event_has_the_signature_of_the_caller(event_format: str) -> None:
    rules = StorageRules(bucket="b", event_format=event_format)
    (event,) = parse(orjson.dumps({"Records": [cos()]}), rules).events
    assert b"SECRET" not in encode_structured(event)
    if event_format != "aws":
        assert b'"Host":"h"' in (event.data or b""), "only the secrets are taken out"


@pytest.mark.parametrize(
    "body",
    [
        orjson.dumps({"Records": [cos(eventName=None)]}),
        orjson.dumps({"Nothing": [cos()]}),
        orjson.dumps({"Records": [cos()]})[:-1],
        orjson.dumps({"TopicArn": "a", "Message": orjson.dumps(cos()).decode()})[:-1],
        orjson.dumps({"TopicArn": "a", "Message": orjson.dumps(cos()).decode() + "x"}),
    ],
)
def test_no_poison_has_the_signature_of_the_caller(body: bytes) -> None:
    assert b"SECRET" in body
    (poison,) = parse(body, ALL).poison
    assert b"SECRET" not in poison.raw
    if body.endswith(b"}"):
        orjson.loads(poison.raw)
    assert b"SECRET" not in scrubbed_bytes(body)


# --- anything at all

_NAMES = st.sampled_from(
    ["Records", "s3", "cos", "event", "object", "bucket", "key", "name", "eventName", "eventVersion", "detail",
     "detail-type", "source", "specversion", "type", "data", "message", "attributes", "Message", "TopicArn",
     "cosObject", "cosBucket", "requestHeaders", "eventType", "subject", "id", "sequencer", "size", "eventTime"]
)  # fmt: skip
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)


def mistakes(parsed: Parsed) -> list[str]:
    """What `parse` has caught because something below it raised: poison, but of our making."""
    return [each.reason for each in parsed.poison if each.reason.startswith(MISTAKE)]


@given(_JSON)
def test_no_json_makes_it_raise(document: Any) -> None:
    for event_format in ("data", "scf", "aws"):
        rules = StorageRules(bucket="b", patterns=("*",), event_format=event_format)
        assert not mistakes(parse(orjson.dumps(document), rules))


@given(st.binary())
def test_no_bytes_make_it_raise(body: bytes) -> None:
    assert not mistakes(parse(body, ALL))


@given(st.dictionaries(_NAMES, _JSON, max_size=8), st.text())
def test_a_broken_record_never_breaks_the_message(part: dict[str, Any], key: str) -> None:
    assert not mistakes(read({**record(key or "k"), **part}, {**cos(), **part}, part))


@given(st.text(min_size=1), st.text(max_size=20), st.text(max_size=20), st.text(max_size=30))
def test_every_record_with_a_name_a_bucket_and_a_key_is_a_cloud_event(
    key: str, name: str, etag: str, version: str
) -> None:
    thing = {"bucket": {"name": "b"}, "object": {"key": key, "eTag": etag, "versionId": version, "size": 1}}
    for event in read(record(eventName=name or "x", s3=thing)).events:
        assert decode_structured(encode_structured(event)) == event
