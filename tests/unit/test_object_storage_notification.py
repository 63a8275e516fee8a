"""One parser for every store: what each of them sends, and what it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.storage_notices import (
    AWS,
    AZURE,
    AZURE_CLOUD_EVENT,
    CEPH,
    COS,
    COS_EVENTBRIDGE,
    EVENTBRIDGE,
    GCS_EVENTARC,
    GCS_OBJECT,
    GCS_PUSH,
    MINIO,
    RUSTFS,
    VERSITYGW,
    data,
    only,
    read,
    records,
    sns,
)
from triggers.object_storage.rules import StorageRules


@pytest.mark.parametrize(
    ("document", "source", "key", "original"),
    [
        (records(AWS), "objectstore:s3/pics", "in/a b+c.png", "ObjectCreated:Put"),
        (sns(records(AWS)), "objectstore:s3/pics", "in/a b+c.png", "ObjectCreated:Put"),
        (sns(EVENTBRIDGE), "objectstore:s3/pics", "in/a+b c.png", "Object Created"),
        (EVENTBRIDGE, "objectstore:s3/pics", "in/a+b c.png", "Object Created"),
        (MINIO, "objectstore:s3/pics", "in/a b+c.png", "s3:ObjectCreated:Put"),
        (records(VERSITYGW), "objectstore:s3/pics", "in/a+b c.png", "s3:ObjectCreated:Put"),
        (records(CEPH), "objectstore:s3/pics", "in/a+b c.png", "ObjectCreated:Put"),
        (RUSTFS, "objectstore:s3/pics", "in/a b+c.png", "ObjectCreated:Put"),
        (records(COS), "objectstore:cos/pics-1250000000", "in/a.png", "cos:ObjectCreated:Put"),
        (COS_EVENTBRIDGE, "objectstore:cos/pics-1250000000", "in/a.png", "ObjectCreated:Put"),
        (GCS_PUSH, "objectstore:gcs/pics", "in/a+b c.png", "OBJECT_FINALIZE"),
        (GCS_EVENTARC, "objectstore:gcs/pics", "in/a+b c.png", "finalized"),
        ([AZURE], "objectstore:azure/pics", "in/a+b c.png", "Microsoft.Storage.BlobCreated"),
        (AZURE_CLOUD_EVENT, "objectstore:azure/pics", "in/a+b c.png", "Microsoft.Storage.BlobCreated"),
        ({"specversion": "1.0", "id": "1", "type": "x", "source": "s", "data": records(AWS)},
         "objectstore:s3/pics", "in/a b+c.png", "ObjectCreated:Put"),
    ],
)  # fmt: skip
def test_what_each_store_sends_becomes_the_same_event(document: Any, source: str, key: str, original: str) -> None:
    event = only(read(document, StorageRules(bucket="pics")))
    assert (event.source, event.subject, event.type) == (source, key, "objectstore.created")
    assert event.extensions["origeventname"] == original
    normal = data(event)
    assert normal["key"] == key
    assert normal["eventName"].startswith("ObjectCreated:")
    assert normal["size"] in (5, 1029)
    assert event.time is not None
    assert event.time.endswith("Z")


def test_the_raw_record_is_in_the_data() -> None:
    assert data(only(read(records(AWS))))["record"] == AWS
    assert data(only(read(EVENTBRIDGE)))["record"] == EVENTBRIDGE


def test_the_normalised_fields_are_the_documented_ones() -> None:
    normal = data(only(read(records(AWS))))
    del normal["record"]
    assert normal == {
        "provider": "aws",
        "bucket": "pics",
        "key": "in/a b+c.png",
        "size": 5,
        "eTag": "e1",
        "versionId": "v1",
        "objectVersion": "v1",
        "eventName": "ObjectCreated:Put",
        "time": "2026-01-01T00:00:00.000Z",
        "region": "us-west-2",
        "sequencer": "0055AED6",
        "order": "0055AED6".ljust(40, "0"),
    }


def test_times_of_every_kind_become_utc() -> None:
    assert only(read(records(COS))).time == "2018-12-19T07:49:30.000Z"
    assert only(read(COS_EVENTBRIDGE)).time == "2021-03-11T02:42:39.146Z"
    assert only(read([AZURE])).time == "2017-06-26T18:41:00.958Z"
    assert only(read(records({**AWS, "eventTime": "2026-01-01T02:00:00+02:00"}))).time == "2026-01-01T00:00:00.000Z"
    assert only(read(records({**AWS, "eventTime": "tomorrow"}))).time is None
    assert only(read(records({**AWS, "eventTime": 1e300}))).time is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectRemoved:Delete", "removed"),
        ("ObjectRemoved:DeleteMarkerCreated", "removed"),
        ("LifecycleExpiration:Delete", "removed"),
        ("ObjectRestore:Completed", "restored"),
        ("ObjectTagging:Delete", "tagged"),
        ("ObjectAcl:Put", "changed"),
        ("Replication:OperationNotTracked", "changed"),
        ("ObjectCreated:CompleteMultipartUpload", "created"),
        ("SomethingNew", "changed"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert only(read(records({**AWS, "eventName": name}))).type == f"objectstore.{kind}"


@pytest.mark.parametrize(
    ("detail_type", "more", "name"),
    [
        ("Object Created", {"reason": "CompleteMultipartUpload"}, "ObjectCreated:CompleteMultipartUpload"),
        ("Object Deleted", {"reason": "DeleteObject", "deletion-type": "Permanently Deleted"}, "ObjectRemoved:Delete"),
        ("Object Deleted", {"reason": "Lifecycle Expiration", "deletion-type": "Delete Marker Created"},
         "LifecycleExpiration:DeleteMarkerCreated"),
        ("Object Tags Added", {}, "ObjectTagging:Put"),
    ],
)  # fmt: skip
def test_names_of_eventbridge(detail_type: str, more: dict[str, str], name: str) -> None:
    envelope = {**EVENTBRIDGE, "detail-type": detail_type, "detail": {**EVENTBRIDGE["detail"], **more}}
    assert data(only(read(envelope)))["eventName"] == name


def test_pub_sub_attributes_may_come_as_headers() -> None:
    headers = {"eventtype": "OBJECT_FINALIZE", "bucketid": "pics", "objectid": "k", "objectgeneration": "7"}
    assert only(read(GCS_OBJECT, headers=headers)).subject == "k"


def test_the_md5_of_gcs_becomes_the_etag_that_a_listing_shows() -> None:
    assert data(only(read(GCS_PUSH)))["eTag"] == "5d41402abc4b2a76b9719d911017c592"
