"""Azure Blob Storage through Event Grid: its own schema, or CloudEvents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from triggers.object_storage.change import ObjectChange, Provider
from triggers.object_storage.fields import NoNotification, at, etag, integer, required, text
from triggers.object_storage.moments import utc_text

PREFIX = "Microsoft.Storage."
HANDSHAKE = "Microsoft.EventGrid.SubscriptionValidationEvent"
_SUBJECT = re.compile(r"/blobServices/default/containers/([^/]+)/blobs/(.+)", re.DOTALL)
_CREATED = {
    "CopyBlob": "ObjectCreated:Copy",
    "PutBlockList": "ObjectCreated:CompleteMultipartUpload",
}
_NAMES = {
    "BlobDeleted": "ObjectRemoved:Delete",
    "BlobTierChanged": "LifecycleTransition",
    "BlobRenamed": "ObjectCreated:Copy",
}
#: Data Lake tells of an empty file when one is opened; the content comes with FlushWithClose.
_UNFINISHED = frozenset({"CreateFile"})


def is_unfinished(event: Mapping[str, Any]) -> bool:
    return text(event, "data", "api") in _UNFINISHED


def change_of(event: Mapping[str, Any]) -> ObjectChange:
    """event: of either schema. Raises NoNotification."""
    original = text(event, "eventType") or required(event, "type")
    short = original.removeprefix(PREFIX)
    place = _SUBJECT.fullmatch(required(event, "subject"))
    if place is None:
        raise NoNotification("its subject is not that of a blob")
    account = _account(text(event, "topic") or text(event, "source") or "")
    container, key = place.groups()
    size = integer(event, "data", "contentLength")
    return ObjectChange(
        provider=Provider.AZURE,
        bucket=container,
        bucket_aliases=(f"{account}/{container}",) if account else (),
        key=key,
        name=_name_of(short, text(event, "data", "api") or ""),
        original_name=original,
        time=utc_text(event.get("eventTime") or event.get("time")),
        size=size,
        etag=etag(event, "data", "eTag"),
        version_id=text(event, "data", "versionId"),
        sequencer=text(event, "data", "sequencer"),
        identity=("azure", account, container, key, required(event, "id")),
        record=event,
    )


def validation_code(events: Any) -> str | None:
    """The code of a handshake in Event Grid's own schema, to be sent back as validationResponse."""
    if not isinstance(events, list) or not events or at(events[0], "eventType") != HANDSHAKE:
        return None
    return text(events[0], "data", "validationCode")


def _name_of(short: str, api: str) -> str:
    if short == "BlobCreated":
        return _CREATED.get(api, "ObjectCreated:Put")
    return _NAMES.get(short, short)


def _account(topic: str) -> str:
    """.../storageAccounts/NAME"""
    return topic.rpartition("/storageAccounts/")[2].partition("/")[0] if "/storageAccounts/" in topic else ""
