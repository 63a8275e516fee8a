"""Tencent COS: the record its functions get, and the same through Tencent EventBridge as a CloudEvent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triggers.object_storage.change import ObjectChange, Provider
from triggers.object_storage.fields import NoNotification, at, etag, integer, required, text
from triggers.object_storage.keys import KeyEncoding, decoded
from triggers.object_storage.moments import utc_text
from triggers.object_storage.rules import StorageRules, bare_name

SOURCE = "cos.cloud.tencent"
_TYPES = {"created": "ObjectCreated:Put", "removed": "ObjectRemoved:Delete", "deleted": "ObjectRemoved:Delete"}


def change_of(
    record: Mapping[str, Any], rules: StorageRules, *, envelope: Mapping[str, Any] | None = None
) -> ObjectChange:
    """envelope: the CloudEvent around it. Raises NoNotification."""
    found, event = at(record, "cos", "cosObject"), record.get("event")
    short, appid = required(record, "cos", "cosBucket", "name"), text(record, "cos", "cosBucket", "appid")
    bucket = f"{short}-{appid}" if appid else short
    key = decoded(_object_key(required(found, "key"), short, appid), rules.key_encoding or KeyEncoding.NONE)
    original = required(event, "eventName")
    version_id = text(found, "vid")
    return ObjectChange(
        provider=Provider.COS,
        bucket=bucket,
        bucket_aliases=(short,),
        key=key,
        name=_canonical(original),
        original_name=original,
        time=utc_text(at(event, "eventTime")),
        size=integer(found, "size"),
        etag=etag(found, "meta", "ETag"),
        version_id=version_id,
        region=text(record, "cos", "cosBucket", "region"),
        identity=("cos", bucket, key, version_id or "", *_distinction(record, envelope), original),
        record=record,
    )


def change_of_cloud_event(envelope: Mapping[str, Any], rules: StorageRules) -> ObjectChange:
    """Raises NoNotification."""
    data = envelope.get("data")
    record = at(data, "Records")[0] if isinstance(at(data, "Records"), list) and at(data, "Records") else data
    if not isinstance(record, Mapping) or "cos" not in record:
        raise NoNotification("its CloudEvent of COS has no COS record in `data`")
    event = record.get("event")
    named: Mapping[str, Any] = event if isinstance(event, Mapping) else {}
    filled = {"eventName": _from_type(required(envelope, "type")), "eventTime": envelope.get("time"), **named}
    return change_of({**record, "event": filled}, rules, envelope=envelope)


def _distinction(record: Mapping[str, Any], envelope: Mapping[str, Any] | None) -> tuple[str, ...]:
    if envelope is not None:
        return (required(envelope, "id"),)
    request = text(record, "cos", "cosObject", "meta", "x-cos-request-id") or ""
    return (str(at(record, "event", "reqid") or ""), request, str(at(record, "event", "eventTime") or ""))


def _object_key(written: str, bucket: str, appid: str | None) -> str:
    """COS writes /appid/bucket/key."""
    return written.removeprefix(f"/{appid}/{bucket}/") if appid else written


def _canonical(name: str) -> str:
    """COS says ObjectRemove where S3 says ObjectRemoved."""
    return bare_name(name).replace("ObjectRemove:", "ObjectRemoved:", 1)


def _from_type(written: str) -> str:
    """ "cos:created:object" of an envelope whose record has no name."""
    parts = written.lower().split(":")
    return _TYPES.get(parts[1] if len(parts) > 1 else "", written)
