"""One parser for every store: what each of them sends, as it is published or was recorded, and what it becomes."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from processor.core.codec import decode_structured, encode_structured
from processor.core.event import Event
from triggers.object_storage.notification import Parsed, parse
from triggers.object_storage.rules import StorageRules

AWS: dict[str, Any] = {
    "eventVersion": "2.6",
    "eventSource": "aws:s3",
    "awsRegion": "us-west-2",
    "eventTime": "2026-01-01T00:00:00.000Z",
    "eventName": "ObjectCreated:Put",
    "userIdentity": {"principalId": "AWS:X"},
    "requestParameters": {"sourceIPAddress": "192.0.2.1"},
    "responseElements": {"x-amz-request-id": "REQ", "x-amz-id-2": "ID2"},
    "s3": {
        "s3SchemaVersion": "1.0",
        "configurationId": "c",
        "bucket": {"name": "pics", "ownerIdentity": {"principalId": "O"}, "arn": "arn:aws:s3:::pics"},
        "object": {"key": "in/a+b%2Bc.png", "size": 5, "eTag": "e1", "versionId": "v1", "sequencer": "0055AED6"},
    },
}
MINIO = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": "pics/in/a b+c.png",
    "Records": [
        {
            **AWS,
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "eventName": "s3:ObjectCreated:Put",
            "source": {"host": "192.0.2.1", "port": "", "userAgent": "mc"},
        }
    ],
}
#: Recorded from VersityGW 1.7.0.
VERSITYGW: dict[str, Any] = {
    "eventVersion": "2.2",
    "eventSource": "aws:s3",
    "awsRegion": "us-east-1",
    "eventTime": "2026-11-24T13:17:24Z",
    "eventName": "s3:ObjectCreated:Put",
    "userIdentity": {"PrincipalId": "u"},
    "requestParameters": {"sourceIPAddress": "127.0.0.1"},
    "responseElements": {"x-amz-request-id": "", "x-amz-id-2": ""},
    "s3": {
        "s3SchemaVersion": "1.0",
        "configurationId": "webhook-global",
        "bucket": {"name": "pics", "ownerIdentity": {"PrincipalId": "u"}, "arn": "arn:aws:s3:::/pics/in/a+b c.png"},
        "object": {"key": "in/a+b c.png", "size": 5, "eTag": '"e1"', "versionId": None, "sequencer": "2"},
    },
    "glacierEventData": {
        "restoreEventData": {"lifecycleRestorationExpiryTime": "", "lifecycleRestoreStorageClass": ""}
    },
}
EVENTBRIDGE: dict[str, Any] = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "time": "2021-11-12T00:00:00Z",
    "region": "ca-central-1",
    "resources": ["arn:aws:s3:::pics"],
    "detail": {
        "version": "0",
        "bucket": {"name": "pics"},
        "object": {"key": "in/a+b c.png", "size": 5, "etag": "e1", "version-id": "v1", "sequencer": "617f08299329d189"},
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        "source-ip-address": "192.0.2.1",
        "reason": "PutObject",
    },
}
COS: dict[str, Any] = {
    "cos": {
        "cosSchemaVersion": "1.0",
        "cosObject": {
            "url": "http://pics-1250000000.cos.ap-chengdu.myqcloud.com/in/a.png",
            "meta": {"x-cos-request-id": "NWMx", "Content-Type": "", "x-cos-meta-mykey": "v"},
            "vid": "",
            "key": "/1250000000/pics/in/a.png",
            "size": 1029,
        },
        "cosBucket": {"region": "cd", "name": "pics", "appid": "1250000000"},
        "cosNotificationId": "unkown",
    },
    "event": {
        "eventName": "cos:ObjectCreated:Put",
        "eventVersion": "1.0",
        "eventTime": 1545205770,
        "eventSource": "qcs::cos",
        "requestParameters": {
            "requestSourceIP": "192.0.2.15",
            "requestHeaders": {"Authorization": "q-sign-algorithm=sha1&q-signature=SECRET", "Host": "h"},
        },
        "eventQueue": "qcs:0:scf:cd:appid/1250000000:default.myfunc.$LATEST",
        "reservedInfo": "",
        "reqid": 179398952,
    },
}
COS_EVENTBRIDGE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "13a3f42d-7258-4ada-da6d-023a333b4662",
    "type": "cos:created:object",
    "source": "cos.cloud.tencent",
    "subject": "qcs::cos:ap-guangzhou:uid1250000000:pics",
    "time": "1615430559146",
    "region": "ap-guangzhou",
    "datacontenttype": "application/json;charset=utf-8",
    "data": {"cos": COS["cos"], "event": {"requestParameters": COS["event"]["requestParameters"]}},
}
CEPH = {
    **AWS,
    "eventVersion": "2.1",
    "eventSource": "ceph:s3",
    "eventId": "1575221657.102001.80dad3aad8584778352c68ea06250327",
    "opaqueData": "me",
    "s3": {
        **AWS["s3"],
        "object": {"key": "in/a+b c.png", "size": "5", "eTag": "e1", "versionId": "", "sequencer": "F7"},
    },
}
RUSTFS = {"EventName": "s3:ObjectCreated:Put", "Key": "pics/x", "Records": [{**AWS, "eventSource": "rustfs:s3"}]}
GCS_OBJECT = {
    "bucket": "pics",
    "name": "in/a+b c.png",
    "size": "5",
    "md5Hash": "XUFAKrxLKna5cZ2REBfFkg==",
    "generation": "7",
}
GCS_PUSH: dict[str, Any] = {
    "message": {
        "attributes": {
            "eventType": "OBJECT_FINALIZE",
            "bucketId": "pics",
            "objectId": "in/a+b c.png",
            "objectGeneration": "1616161616",
            "eventTime": "2021-01-15T01:30:15.010000Z",
            "payloadFormat": "JSON_API_V1",
        },
        "data": base64.b64encode(orjson.dumps(GCS_OBJECT)).decode(),
        "messageId": "1",
    },
    "subscription": "projects/p/subscriptions/s",
}
GCS_EVENTARC = {
    "specversion": "1.0",
    "id": "1",
    "type": "google.cloud.storage.object.v1.finalized",
    "source": "//storage.googleapis.com/projects/_/buckets/pics",
    "subject": "objects/in/a+b c.png",
    "time": "2021-01-15T01:30:15.010000Z",
    "data": GCS_OBJECT,
}
AZURE: dict[str, Any] = {
    "topic": "/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/acc",
    "subject": "/blobServices/default/containers/pics/blobs/in/a+b c.png",
    "eventType": "Microsoft.Storage.BlobCreated",
    "eventTime": "2017-06-26T18:41:00.9584103Z",
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "data": {
        "api": "PutBlockList",
        "requestId": "831e1650",
        "eTag": "0x8D4BCC2E4835CD0",
        "contentType": "text/plain",
        "contentLength": 5,
        "blobType": "BlockBlob",
        "url": "https://acc.blob.core.windows.net/pics/in/a+b c.png",
        "sequencer": "00000000000004420000000000028963",
    },
    "dataVersion": "",
    "metadataVersion": "1",
}
AZURE_CLOUD_EVENT = {
    "specversion": "1.0",
    "source": AZURE["topic"],
    "subject": AZURE["subject"],
    "type": "Microsoft.Storage.BlobCreated",
    "time": AZURE["eventTime"],
    "id": AZURE["id"],
    "data": AZURE["data"],
}


def records(*each: Any) -> dict[str, Any]:
    return {"Records": list(each)}


def sns(message: Any) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:t", "Message": orjson.dumps(message).decode(), "MessageId": "m"}


def read(document: Any, rules: StorageRules | None = None, **more: Any) -> Parsed:
    return parse(orjson.dumps(document), rules or StorageRules(bucket="pics", patterns=("*",)), **more)


def only(parsed: Parsed) -> Event:
    assert parsed.poison == ()
    (event,) = parsed.events
    assert decode_structured(encode_structured(event)) == event, "it is a CloudEvent"
    return event


def data(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(event.data or b"")
    return found


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


# --- identity


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


# --- not for us


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
