"""Handlers written for Lambda and for SCF get what they know, from whatever store it comes."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

import orjson
import pytest

from triggers.object_storage.change import Provider
from triggers.object_storage.notification import parse
from triggers.object_storage.rules import StorageRules
from triggers.object_storage.sequencer import order_of

KEY = "in/a+b c ü.png"
S3_RECORD: dict[str, Any] = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "awsRegion": "us-east-1",
    "eventTime": "1970-01-01T00:00:00.000Z",
    "eventName": "ObjectCreated:Put",
    "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
    "requestParameters": {"sourceIPAddress": "127.0.0.1"},
    "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
    "s3": {
        "s3SchemaVersion": "1.0",
        "configurationId": "testConfigRule",
        "bucket": {"name": "mybucket", "ownerIdentity": {"principalId": "A3NL1"}, "arn": "arn:aws:s3:::mybucket"},
        "object": {"key": "in/a%2Bb+c+%C3%BC.png", "size": 1024, "eTag": "d41d8cd9", "sequencer": "0055AED6DCD90281E5"},
    },
}
COS_RECORD: dict[str, Any] = {
    "cos": {
        "cosSchemaVersion": "1.0",
        "cosObject": {
            "url": "http://mybucket-1250000000.cos.ap-chengdu.myqcloud.com/in/a",
            "meta": {"x-cos-request-id": "NWMx", "Content-Type": ""},
            "vid": "",
            "key": f"/1250000000/mybucket/{KEY}",
            "size": 1024,
        },
        "cosBucket": {"region": "cd", "name": "mybucket", "appid": "1250000000"},
        "cosNotificationId": "unkown",
    },
    "event": {
        "eventName": "cos:ObjectCreated:Put",
        "eventVersion": "1.0",
        "eventTime": 1545205770,
        "eventSource": "qcs::cos",
        "requestParameters": {"requestSourceIP": "192.0.2.15", "requestHeaders": {}},
        "eventQueue": "qcs:0:scf:cd:appid/1250000000:default.myfunc.$LATEST",
        "reservedInfo": "",
        "reqid": 179398952,
    },
}
EVENTBRIDGE = {
    "id": "1",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "time": "2026-01-01T00:00:00Z",
    "region": "us-east-1",
    "detail": {
        "bucket": {"name": "mybucket"},
        "object": {"key": KEY, "size": 1024, "etag": "e"},
        "reason": "PutObject",
    },
}
MINIO = {**S3_RECORD, "eventSource": "minio:s3", "eventName": "s3:ObjectCreated:Put"}
VERSITYGW = {
    **MINIO,
    "eventSource": "aws:s3",
    "s3": {**S3_RECORD["s3"], "object": {"key": KEY, "size": 1024, "eTag": '"d41d8cd9"', "sequencer": "1"}},
}


def shaped(document: Any, event_format: str) -> dict[str, Any]:
    rules = StorageRules(bucket="mybucket", event_format=event_format)
    (event,) = parse(orjson.dumps(document), rules).events
    found: dict[str, Any] = orjson.loads(event.data or b"")
    return found


def lambda_handler(event: dict[str, Any]) -> tuple[str, str, int]:
    """As AWS's own tutorial reads it."""
    record = event["Records"][0]
    assert record["eventSource"] == "aws:s3"
    assert record["eventName"].startswith("ObjectCreated:")
    found = record["s3"]
    return found["bucket"]["name"], unquote_plus(found["object"]["key"], encoding="utf-8"), found["object"]["size"]


def scf_handler(event: dict[str, Any]) -> tuple[str, str, int]:
    """As Tencent's own examples read it."""
    record = event["Records"][0]
    bucket, appid = record["cos"]["cosBucket"]["name"], record["cos"]["cosBucket"]["appid"]
    assert record["event"]["eventName"].startswith("cos:ObjectCreated:")
    key = record["cos"]["cosObject"]["key"].replace(f"/{appid}/{bucket}/", "", 1)
    return bucket, key, record["cos"]["cosObject"]["size"]


EVERYBODY = [
    {"Records": [S3_RECORD]}, {"Records": [MINIO]}, {"Records": [VERSITYGW]}, {"Records": [COS_RECORD]}, EVENTBRIDGE
]  # fmt: skip


@pytest.mark.parametrize("document", EVERYBODY)
def test_a_lambda_handler_reads_what_any_store_sends(document: Any) -> None:
    bucket, key, size = lambda_handler(shaped(document, "aws"))
    assert (bucket.removesuffix("-1250000000"), key, size) == ("mybucket", KEY, 1024)


@pytest.mark.parametrize("document", EVERYBODY)
def test_an_scf_handler_reads_what_any_store_sends(document: Any) -> None:
    assert scf_handler(shaped(document, "scf")) == ("mybucket", KEY, 1024)


def test_the_record_of_s3_reaches_a_lambda_handler_unchanged() -> None:
    assert shaped({"Records": [S3_RECORD]}, "aws") == {"Records": [S3_RECORD]}


def test_the_record_of_cos_reaches_an_scf_handler_unchanged_but_for_the_signature() -> None:
    signed = {**COS_RECORD["event"], "requestParameters": {"requestHeaders": {"Authorization": "SECRET"}}}
    expected = {**COS_RECORD, "event": {**signed, "requestParameters": {"requestHeaders": {}}}}
    assert shaped({"Records": [{**COS_RECORD, "event": signed}]}, "scf") == {"Records": [expected]}


def test_a_made_record_of_cos_has_every_field_of_a_real_one() -> None:
    made = shaped({"Records": [S3_RECORD]}, "scf")["Records"][0]
    assert made["cos"].keys() == COS_RECORD["cos"].keys()
    assert made["cos"]["cosObject"].keys() == COS_RECORD["cos"]["cosObject"].keys()
    assert made["cos"]["cosBucket"].keys() == COS_RECORD["cos"]["cosBucket"].keys()
    assert made["event"].keys() == COS_RECORD["event"].keys()


def test_a_made_record_of_s3_has_every_field_of_a_real_one() -> None:
    made = shaped(EVENTBRIDGE, "aws")["Records"][0]
    assert made.keys() == S3_RECORD.keys()
    assert made["s3"].keys() == S3_RECORD["s3"].keys()


def test_a_removal_has_the_name_of_its_platform() -> None:
    rules = {"Records": [{**S3_RECORD, "eventName": "ObjectRemoved:Delete"}]}
    wanted = StorageRules(bucket="mybucket", patterns=("ObjectRemoved:*",), event_format="scf")
    (event,) = parse(orjson.dumps(rules), wanted).events
    assert orjson.loads(event.data or b"")["Records"][0]["event"]["eventName"] == "cos:ObjectRemove:Delete"


# --- which change came later


@pytest.mark.parametrize(
    ("provider", "earlier", "later"),
    [
        (Provider.AWS, "0055AED6DCD90281E5", "0055AED6DCD90281E6"),
        (Provider.AWS, "0055", "0055AED6"),
        (Provider.AWS, "10", "9"),  # as AWS has it: shorter ones are filled up on the right
        (Provider.MINIO, "17B5D9E0E5A1B2C3", "17b5d9e0e5a1b2c4"),
        (Provider.VERSITYGW, "9", "10"),
        (Provider.GCS, "999", "1616161616"),
        (Provider.AZURE, "00000000000004420000000000028963", "00000000000004420000000000028964"),
    ],
)
def test_order_is_text_that_any_handler_can_compare(provider: Provider, earlier: str, later: str) -> None:
    first, second = order_of(provider, earlier), order_of(provider, later)
    assert first is not None
    assert second is not None
    assert first < second


def test_a_sequencer_of_another_kind_has_no_order() -> None:
    assert order_of(Provider.GCS, "x") is None
    assert order_of(Provider.AWS, None) is None
