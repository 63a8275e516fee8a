"""What each store sends, as it is published or was recorded, and what the parser makes of it."""

from __future__ import annotations

import base64
from typing import Any

import orjson

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
