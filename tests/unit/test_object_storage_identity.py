"""Which notifications are repeats of one change, and which are changes of their own."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from processor.core.event import Event
from tests.unit.storage_notices import (
    AWS,
    AZURE,
    CEPH,
    COS,
    COS_EVENTBRIDGE,
    EVENTBRIDGE,
    GCS_OBJECT,
    GCS_PUSH,
    MINIO,
    RUSTFS,
    VERSITYGW,
    data,
    only,
    read,
    records,
)


def changed(record: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    other = copy.deepcopy(record)
    change(other)
    return other


@pytest.mark.parametrize(
    "document",
    [records(AWS), EVENTBRIDGE, MINIO, records(VERSITYGW), records(CEPH), RUSTFS, records(COS), COS_EVENTBRIDGE,
     GCS_PUSH, [AZURE]],
)  # fmt: skip
def test_a_repeat_of_a_notification_has_the_same_identity(document: Any) -> None:
    once = read(document, carrier="here")
    assert [each.id for each in once.events] == [each.id for each in read(document, carrier="here").events] != []


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["s3"]["object"].update(sequencer="0055AED7"),
        lambda record: record["s3"]["object"].update(versionId="v2"),
        lambda record: record["s3"]["object"].update(key="in/other"),
        lambda record: record.update(eventName="ObjectCreated:Copy"),
    ],
)
def test_another_change_has_another_identity(change: Callable[[dict[str, Any]], None]) -> None:
    assert only(read(records(AWS))).id != only(read(records(changed(AWS, change)))).id


def test_two_rules_of_one_bucket_that_tell_the_same_change_make_one_event() -> None:
    other = changed(AWS, lambda record: record["s3"].update(configurationId="another rule"))
    assert only(read(records(AWS))).id == only(read(records(other))).id


def test_one_request_that_removes_many_objects_makes_one_event_for_each() -> None:
    def removed(key: str) -> dict[str, Any]:
        return changed({**AWS, "eventName": "ObjectRemoved:Delete"}, lambda it: it["s3"]["object"].update(key=key))

    parsed = read(records(*(removed(f"k{number}") for number in range(5))))
    assert len({each.id for each in parsed.events}) == 5


def test_changes_without_a_sequencer_are_told_apart_by_their_request() -> None:
    def tagged(request: str) -> Event:
        record = changed({**AWS, "eventName": "ObjectTagging:Put"}, lambda it: it["s3"]["object"].pop("sequencer"))
        record["responseElements"] = {"x-amz-request-id": request}
        return only(read(records(record)))

    assert tagged("A").id == tagged("A").id != tagged("B").id
    assert tagged("A").type == "objectstore.tagged"


def test_reads_of_one_content_on_minio_are_told_apart_though_its_sequencer_is_the_same() -> None:
    def read_by(request: str) -> Event:
        record = {**AWS, "eventSource": "minio:s3", "eventName": "s3:ObjectAccessed:Get"}
        return only(read(records({**record, "responseElements": {"x-amz-request-id": request}})))

    assert read_by("A").id != read_by("B").id
    assert read_by("A").type == "objectstore.accessed"


def test_a_sender_without_any_identity_is_identified_by_its_carrier() -> None:
    assert only(read(records(VERSITYGW), carrier="t/0/1")).id != only(read(records(VERSITYGW), carrier="t/0/2")).id
    assert only(read(records(AWS), carrier="a")).id == only(read(records(AWS), carrier="b")).id
    twice = read(records(VERSITYGW, VERSITYGW), carrier="t/0/1").events
    assert twice[0].id != twice[1].id


def test_the_counter_of_a_versitygw_that_was_started_again_makes_no_repeat() -> None:
    later = {**VERSITYGW, "eventTime": "2026-11-24T13:18:00Z"}
    assert only(read(records(VERSITYGW))).id != only(read(records(later))).id


def test_a_change_of_metadata_on_gcs_is_told_apart_by_its_metageneration() -> None:
    def changed_to(metageneration: str) -> Event:
        attributes = {**GCS_PUSH["message"]["attributes"], "eventType": "OBJECT_METADATA_UPDATE"}
        body = base64.b64encode(orjson.dumps({**GCS_OBJECT, "metageneration": metageneration})).decode()
        return only(read({"message": {"attributes": attributes, "data": body}}))

    assert changed_to("1").id != changed_to("2").id


def test_one_content_is_recognised_by_the_second_part_of_the_id() -> None:
    mark = only(read(records(AWS))).id.partition("-")[2]
    assert len(mark) == 16
    assert only(read(records(VERSITYGW))).id.partition("-")[2] == mark, "the same eTag, with and without quotes"
    removed = only(read(records({**AWS, "eventName": "ObjectRemoved:Delete"})))
    assert "-" not in removed.id, "what is gone is no content"


def test_the_wrong_size_of_a_copy_on_versitygw_is_no_size() -> None:
    def copied(etag: str) -> dict[str, Any]:
        record = {**VERSITYGW, "eventName": "s3:ObjectCreated:Copy"}
        return data(only(read(records(changed(record, lambda it: it["s3"]["object"].update(size=0, eTag=etag))))))

    assert "size" not in copied("5d41402abc4b2a76b9719d911017c592")
    assert copied("d41d8cd98f00b204e9800998ecf8427e")["size"] == 0
