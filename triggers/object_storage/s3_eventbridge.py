"""S3's notifications as EventBridge writes them: another spelling, a plain key, one of them to a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triggers.object_storage.change import ObjectChange, Provider
from triggers.object_storage.fields import NoNotification, at, etag, integer, required, text
from triggers.object_storage.keys import KeyEncoding, decoded
from triggers.object_storage.moments import utc_text
from triggers.object_storage.rules import StorageRules

SOURCE = "aws.s3"

_CREATED = {
    "PutObject": "ObjectCreated:Put",
    "POST Object": "ObjectCreated:Post",
    "CopyObject": "ObjectCreated:Copy",
    "CompleteMultipartUpload": "ObjectCreated:CompleteMultipartUpload",
}
_OTHERS = {
    "Object Restore Initiated": "ObjectRestore:Post",
    "Object Restore Completed": "ObjectRestore:Completed",
    "Object Restore Expired": "ObjectRestore:Delete",
    "Object Storage Class Changed": "LifecycleTransition",
    "Object Access Tier Changed": "IntelligentTiering",
    "Object ACL Updated": "ObjectAcl:Put",
    "Object Tags Added": "ObjectTagging:Put",
    "Object Tags Deleted": "ObjectTagging:Delete",
}


def change_of(envelope: Mapping[str, Any], rules: StorageRules) -> ObjectChange:
    """Raises NoNotification."""
    if envelope.get("source") != SOURCE:
        raise NoNotification(
            f"it comes through EventBridge from {str(envelope.get('source'))[:60]!r}, not from {SOURCE}"
        )
    original = required(envelope, "detail-type")
    found = at(envelope, "detail", "object")
    bucket = required(envelope, "detail", "bucket", "name")
    key = decoded(required(found, "key"), rules.key_encoding or KeyEncoding.NONE)
    version_id, sequencer = text(found, "version-id"), text(found, "sequencer")
    name = _name_of(original, envelope)
    return ObjectChange(
        provider=Provider.AWS,
        bucket=bucket,
        key=key,
        name=name,
        original_name=original,
        time=utc_text(envelope.get("time")),
        size=integer(found, "size"),
        etag=etag(found, "etag") or etag(found, "eTag"),
        version_id=version_id,
        sequencer=sequencer,
        region=text(envelope, "region"),
        identity=("eventbridge", bucket, key, version_id or "", sequencer or "", required(envelope, "id"), name),
        record=envelope,
    )


def _name_of(detail_type: str, envelope: Mapping[str, Any]) -> str:
    reason = text(envelope, "detail", "reason") or ""
    if detail_type == "Object Created":
        return _CREATED.get(reason, "ObjectCreated:Put")
    if detail_type == "Object Deleted":
        marker = text(envelope, "detail", "deletion-type") == "Delete Marker Created"
        by = "LifecycleExpiration" if reason.startswith("Lifecycle") else "ObjectRemoved"
        return f"{by}:{'DeleteMarkerCreated' if marker else 'Delete'}"
    return _OTHERS.get(detail_type, detail_type)
