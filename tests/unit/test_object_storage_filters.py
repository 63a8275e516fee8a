"""What a storage trigger wants of what it is told."""

from __future__ import annotations

import orjson
import pytest

from tests.unit.storage_notices import AWS, AZURE, COS, only, read, records, sns
from triggers.object_storage.notification import Parsed, parse
from triggers.object_storage.rules import StorageRules

SECRET = {"Authorization": "q-sign-algorithm=sha1"}


def test_test_events_are_acknowledged_and_counted() -> None:
    aws = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "t", "Bucket": "b", "RequestId": "r", "HostId": "h"}
    versity = {"Bucket": "Test-Bucket", "Event": "s3:TestEvent", "Service": "S3", "Time": "2026-11-24T13:17:24Z"}
    assert read(aws) == read(versity) == read(sns(aws)) == Parsed(tests=1)


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        (StorageRules(bucket="pics"), True),
        (StorageRules(bucket="other"), False),
        (StorageRules(bucket="pics", prefix="in/"), True),
        (StorageRules(bucket="pics", prefix="out/"), False),
        (StorageRules(bucket="pics", suffix=".png"), True),
        (StorageRules(bucket="pics", prefix="in/a b+c", suffix=".png"), True),
        (StorageRules(bucket="pics", suffix=".PNG"), False),
        (StorageRules(bucket="pics", patterns=("ObjectCreated:Put",)), True),
        (StorageRules(bucket="pics", patterns=("s3:ObjectCreated:*",)), True),
        (StorageRules(bucket="pics", patterns=("ObjectCreated:Copy", "ObjectRemoved:*")), False),
        (StorageRules(bucket="pics", patterns=("*",)), True),
        (StorageRules(bucket="pics", patterns=("objectcreated:*",)), False),
    ],
)
def test_filters(rules: StorageRules, wanted: bool) -> None:
    parsed = read(records(AWS), rules)
    assert (len(parsed.events), parsed.ignored) == ((1, 0) if wanted else (0, 1))


def test_the_names_of_cos_can_be_written_as_cos_or_as_s3_writes_them() -> None:
    removed = {**COS, "event": {**COS["event"], "eventName": "cos:ObjectRemove:Delete"}}
    for bucket in ("pics", "pics-1250000000"):
        for pattern in ("cos:ObjectRemove:*", "ObjectRemove:*", "ObjectRemoved:*"):
            event = only(read(records(removed), StorageRules(bucket=bucket, patterns=(pattern,))))
            assert event.type == "objectstore.removed"


def test_a_bucket_of_azure_can_be_written_with_its_account() -> None:
    assert read([AZURE], StorageRules(bucket="acc/pics")).events
    assert not read([AZURE], StorageRules(bucket="other/pics")).events


def test_the_empty_file_that_a_data_lake_opens_is_no_event() -> None:
    opened = {**AZURE, "data": {**AZURE["data"], "api": "CreateFile"}}
    flushed = {**AZURE, "data": {**AZURE["data"], "api": "FlushWithClose"}}
    assert read([opened, flushed]).ignored == 1
    assert len(read([opened, flushed]).events) == 1


def test_an_escaped_name_of_the_headers_hides_no_signature() -> None:
    record = orjson.dumps(records({**COS, "event": {**COS["event"], "requestParameters": {"requestHeaders": SECRET}}}))
    escaped = record.replace(b'"requestHeaders"', b'"request\\u0048eaders"')
    for body in (record, escaped):
        (event,) = parse(body, StorageRules(bucket="pics")).events
        assert b"q-sign" not in (event.data or b"")
