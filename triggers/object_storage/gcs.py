"""Google Cloud Storage: Pub/Sub messages (pushed, or with their attributes as headers), and Eventarc's CloudEvents."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from triggers.object_storage.change import ObjectChange, Provider
from triggers.object_storage.fields import at, etag, integer, required, text
from triggers.object_storage.moments import utc_text

CLOUD_EVENT_TYPE = "google.cloud.storage.object.v1."
#: Of a Pub/Sub message, sent as headers of its carrier.
ATTRIBUTES = ("eventType", "bucketId", "objectId", "objectGeneration", "eventTime")
_NAMES = {
    "OBJECT_FINALIZE": "ObjectCreated:Put",
    "OBJECT_METADATA_UPDATE": "ObjectTagging:Put",
    "OBJECT_DELETE": "ObjectRemoved:Delete",
    "OBJECT_ARCHIVE": "ObjectRemoved:DeleteMarkerCreated",
    "finalized": "ObjectCreated:Put",
    "metadataUpdated": "ObjectTagging:Put",
    "deleted": "ObjectRemoved:Delete",
    "archived": "ObjectRemoved:DeleteMarkerCreated",
}


def is_pushed(document: Mapping[str, Any]) -> bool:
    return text(document, "message", "attributes", "bucketId") is not None


def change_of_push(document: Mapping[str, Any], body: Any) -> ObjectChange:
    """body: what its message.data says. Raises NoNotification."""
    attributes = at(document, "message", "attributes")
    return _change(attributes, body, record={"attributes": attributes, "object": body})


def change_of_headers(headers: Mapping[str, str], body: Mapping[str, Any]) -> ObjectChange:
    """headers: the attributes, names in lower case. Raises NoNotification."""
    attributes = {name: headers[name.lower()] for name in ATTRIBUTES if name.lower() in headers}
    return _change(attributes, body, record={"attributes": attributes, "object": body})


def change_of_cloud_event(envelope: Mapping[str, Any]) -> ObjectChange:
    """Raises NoNotification."""
    data = envelope.get("data")
    attributes = {
        "eventType": required(envelope, "type").removeprefix(CLOUD_EVENT_TYPE),
        "bucketId": required(data, "bucket"),
        "objectId": required(data, "name"),
        "objectGeneration": str(at(data, "generation") or ""),
        "eventTime": envelope.get("time"),
    }
    return _change(attributes, data, record=envelope)


def _change(attributes: Mapping[str, Any], body: Any, *, record: Mapping[str, Any]) -> ObjectChange:
    original = required(attributes, "eventType")
    bucket, key = required(attributes, "bucketId"), required(attributes, "objectId")
    generation = required(attributes, "objectGeneration")
    # Its metadata may change many times while the generation stays.
    meta = str(at(body, "metageneration") or "") if _NAMES.get(original) == "ObjectTagging:Put" else ""
    return ObjectChange(
        provider=Provider.GCS,
        bucket=bucket,
        key=key,
        name=_NAMES.get(original, original),
        original_name=original,
        time=utc_text(attributes.get("eventTime")),
        size=integer(body, "size"),
        etag=_md5(text(body, "md5Hash")) or etag(body, "etag"),
        version_id=generation,
        sequencer=generation,
        identity=("gcs", bucket, key, generation, meta, original),
        record=record,
    )


def _md5(encoded: str | None) -> str | None:
    """As a listing through the S3 API shows it. Composed objects have none."""
    try:
        return base64.b64decode(encoded, validate=True).hex() if encoded else None
    except binascii.Error:
        return None
