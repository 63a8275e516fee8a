"""The same change as S3 writes it for Lambda, and as COS writes it for SCF. Whoever wrote the record, the handler finds
the names, the key encoding and the event names of its own platform.
"""

from __future__ import annotations

import copy
from typing import Any

from triggers.object_storage.change import ObjectChange, Provider
from triggers.object_storage.keys import form_encoded, readable, url_encoded
from triggers.object_storage.moments import unix_sec

#: Of stores that have no account: a handler strips /appid/bucket/ from the key with what the record itself says.
_NO_APPID = "0"
#: So spelled in the documentation of COS.
_NOTIFICATION_ID = "unkown"
_FOUND = "ObjectDiscovered"


def as_s3_record(change: ObjectChange) -> dict[str, Any]:
    if "s3" in change.record and change.provider is Provider.AWS:
        return dict(change.record)
    if "s3" in change.record:
        return _s3_of_lookalike(change)
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": change.region or "",
        "eventTime": change.time or "",
        "eventName": _made_name(change),
        "userIdentity": {"principalId": ""},
        "requestParameters": {"sourceIPAddress": ""},
        "responseElements": {"x-amz-request-id": "", "x-amz-id-2": ""},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "",
            "bucket": {
                "name": change.bucket,
                "ownerIdentity": {"principalId": ""},
                "arn": f"arn:aws:s3:::{change.bucket}",
            },
            "object": _s3_object(change),
        },
    }


def _s3_of_lookalike(change: ObjectChange) -> dict[str, Any]:
    record: dict[str, Any] = copy.deepcopy(dict(change.record))
    record.update(eventSource="aws:s3", eventName=change.name)
    record["s3"]["object"]["key"] = form_encoded(change.key)
    if change.size is not None:
        record["s3"]["object"]["size"] = change.size
    return record


def _s3_object(change: ObjectChange) -> dict[str, Any]:
    known = {
        "size": change.size,
        "eTag": change.etag,
        "versionId": change.version_id,
        "sequencer": change.sequencer,
    }
    return {"key": form_encoded(change.key), **{name: value for name, value in known.items() if value is not None}}


def as_cos_record(change: ObjectChange) -> dict[str, Any]:
    if "cos" in change.record:
        return dict(change.record)
    bucket, appid = _cos_names(change.bucket)
    return {
        "cos": {
            "cosSchemaVersion": "1.0",
            "cosObject": {
                "url": f"http://{change.bucket}/{url_encoded(change.key)}",
                "meta": {"x-cos-request-id": "", "Content-Type": "", **({"ETag": change.etag} if change.etag else {})},
                "vid": change.version_id or "",
                "key": f"/{appid}/{bucket}/{readable(change.key)}",
                "size": change.size or 0,
            },
            "cosBucket": {"region": change.region or "", "name": bucket, "appid": appid},
            "cosNotificationId": _NOTIFICATION_ID,
        },
        "event": {
            "eventName": f"cos:{_made_name(change).replace('ObjectRemoved:', 'ObjectRemove:')}",
            "eventVersion": "1.0",
            "eventTime": unix_sec(change.time),
            "eventSource": "qcs::cos",
            "requestParameters": {"requestSourceIP": "", "requestHeaders": {}},
            "eventQueue": "",
            "reservedInfo": "",
            "reqid": 0,
        },
    }


def _cos_names(bucket: str) -> tuple[str, str]:
    """A COS bucket is called name-appid."""
    name, dash, appid = bucket.rpartition("-")
    return (name, appid) if dash and name and appid.isdecimal() and len(appid) >= 8 else (bucket, _NO_APPID)


def _made_name(change: ObjectChange) -> str:
    """To a platform's handler, an object that a listing found is one that was put there."""
    return "ObjectCreated:Put" if change.name == _FOUND else change.name
