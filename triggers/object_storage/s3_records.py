"""S3's records 2.x, and those that MinIO, VersityGW, Ceph and RustFS make in their manner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triggers.object_storage.change import ObjectChange, Provider
from triggers.object_storage.fields import NoNotification, at, etag, integer, required, text
from triggers.object_storage.keys import KeyEncoding, decoded
from triggers.object_storage.moments import utc_text
from triggers.object_storage.rules import StorageRules, bare_name

_SOURCES = {"minio:s3": Provider.MINIO, "ceph:s3": Provider.CEPH, "rustfs:s3": Provider.RUSTFS}
_ENCODINGS = {Provider.AWS: KeyEncoding.FORM, Provider.MINIO: KeyEncoding.FORM, Provider.RUSTFS: KeyEncoding.FORM}
#: S3 raises the second number with every field it adds, and the first when it takes something away.
_MAJOR = "2"
_MD5_OF_NOTHING = "d41d8cd98f00b204e9800998ecf8427e"


def change_of(record: Mapping[str, Any], rules: StorageRules, carrier: str) -> ObjectChange:
    """carrier: of this one record. Raises NoNotification."""
    _check_version(record)
    original = required(record, "eventName")
    name = bare_name(original)
    provider = rules.provider or _provider_of(record, original)
    encoding = rules.key_encoding or _ENCODINGS.get(provider, KeyEncoding.NONE)
    item = at(record, "s3", "object")
    bucket = required(record, "s3", "bucket", "name")
    key = decoded(required(record, "s3", "object", "key"), encoding)
    version_id, checksum, sequencer = text(item, "versionId"), etag(item, "eTag"), text(item, "sequencer")
    distinction = _distinction(record, sequencer, provider, carrier)
    return ObjectChange(
        provider=provider,
        bucket=bucket,
        key=key,
        name=name,
        original_name=original,
        time=utc_text(record.get("eventTime")),
        size=_size(integer(item, "size"), checksum, name),
        etag=checksum,
        version_id=version_id,
        sequencer=sequencer,
        region=text(record, "awsRegion"),
        identity=(provider.value, bucket, key, version_id or "", *distinction, name),
        record=record,
    )


def _check_version(record: Mapping[str, Any]) -> None:
    version = required(record, "eventVersion")
    if version.partition(".")[0] != _MAJOR:
        raise NoNotification(
            f"its eventVersion is {version[:20]!r}; only {_MAJOR}.x is understood",
            remedy="Use a version of Headrace that knows it, or make the sender write 2.x.",
        )


def _provider_of(record: Mapping[str, Any], original_name: str) -> Provider:
    """VersityGW calls itself aws:s3, but writes `s3:` before the name, which S3 never does in a record."""
    named = _SOURCES.get(text(record, "eventSource") or "")
    if named is not None:
        return named
    return Provider.VERSITYGW if original_name.startswith("s3:") else Provider.AWS


def _size(size: int | None, checksum: str | None, name: str) -> int | None:
    """VersityGW tells the size 0 of what was copied: an object with a checksum of something is not empty."""
    return None if size == 0 and checksum not in (None, _MD5_OF_NOTHING) and name == "ObjectCreated:Copy" else size


def _distinction(record: Mapping[str, Any], sequencer: str | None, provider: Provider, carrier: str) -> tuple[str, ...]:
    """The sequencer alone would not do: it belongs to the object's content, so what only touches that (tags, reads on
    MinIO) repeats it, and emulators send the same one for ever. Nor would the request: one may remove many objects.
    """
    request = text(record, "responseElements", "x-amz-request-id") or text(record, "eventId")
    # VersityGW's counter begins again with its process.
    if request is None and (sequencer is None or provider is Provider.VERSITYGW):
        return _weak(record, carrier)
    return (sequencer or "", request or "")


def _weak(record: Mapping[str, Any], carrier: str) -> tuple[str, ...]:
    parts = ("sequencer", "eTag", "size")
    content = [str(record["s3"]["object"].get(part, "")) for part in parts]
    return (*content, str(record.get("eventTime", "")), carrier)
