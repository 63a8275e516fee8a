"""One change of one object, in the same words for every provider: the normal form that events are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

#: Of a SHA-256 in hexadecimal: what an identity keeps, and what of a content is kept beside it.
IDENTITY_CHARS = 32
CONTENT_CHARS = 16


class Provider(Enum):
    AWS = "aws"
    MINIO = "minio"
    VERSITYGW = "versitygw"
    CEPH = "ceph"
    RUSTFS = "rustfs"
    GCS = "gcs"
    AZURE = "azure"
    COS = "cos"

    @property
    def family(self) -> str:
        """The alias in an event's source when none is set. One for all that speak S3: a listing cannot tell which."""
        own = (Provider.GCS, Provider.AZURE, Provider.COS)
        return self.value if self in own else "s3"


@dataclass(kw_only=True, slots=True)
class ObjectChange:
    """Changed by nobody. Not frozen: to make a frozen one of so many fields takes more than twice the time."""

    provider: Provider
    bucket: str
    #: Decoded. Bytes that are no UTF-8 stand in it as lone surrogates (as os.fsdecode does it).
    key: str
    #: Canonical: S3's name without "s3:", such as ObjectCreated:Put.
    name: str
    #: As the provider wrote it.
    original_name: str
    #: RFC 3339 in UTC; None when the provider's own cannot be read.
    time: str | None
    size: int | None = None
    etag: str | None = None
    version_id: str | None = None
    sequencer: str | None = None
    region: str | None = None
    #: What makes it this change and no other, in every repeat of the notification the same.
    identity: tuple[str, ...]
    #: Other names that a configuration may use for the bucket.
    bucket_aliases: tuple[str, ...] = ()
    #: The provider's own record, without the caller's signatures.
    record: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return kind_of(self.name)

    @property
    def version(self) -> str | None:
        """Names the content: `objectversion`. None when the notification says nothing about it."""
        return object_version(self.version_id, self.etag, self.size)

    @property
    def event_id(self) -> str:
        """<identity>-<content>: by the second part a listing knows its object among the events of a key."""
        mark = content_mark(self.etag, self.size) if self.kind in ("created", "discovered") else None
        return f"{_hashed(self.identity, IDENTITY_CHARS)}-{mark}" if mark else _hashed(self.identity, IDENTITY_CHARS)


def content_mark(etag: str | None, size: int | None) -> str | None:
    """The same for a notification and for a listing of one content. Nothing of it is what only one of them has (a
    version, a time) or has wrong (VersityGW's copies have the size 0). By size where there is no checksum (COS).
    """
    content = etag or (None if size is None else str(size))
    return None if content is None else _hashed((content,), CONTENT_CHARS)


def object_version(version_id: str | None, etag: str | None, size: int | None) -> str | None:
    """The version of a versioned bucket, else checksum and size. "null" is S3's version without versioning."""
    if version_id and version_id != "null":
        return version_id
    return f"{etag}-{size}" if etag and size is not None else None


def _hashed(parts: tuple[str, ...], chars: int) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:chars]


#: Canonical name, or what stands before its colon -> our word.
_KINDS = {
    "ObjectCreated": "created",
    "ObjectCreated:PutTagging": "tagged",
    "ObjectCreated:DeleteTagging": "tagged",
    "ObjectCreated:PutRetention": "changed",
    "ObjectCreated:PutLegalHold": "changed",
    "ObjectRemoved": "removed",
    "ObjectRemoved:NoOP": "changed",
    "LifecycleExpiration": "removed",
    "ObjectRestore": "restored",
    "ObjectTagging": "tagged",
    "ObjectAcl": "changed",
    "ObjectAccessed": "accessed",
    "ObjectDiscovered": "discovered",
}


def kind_of(name: str) -> str:
    """created, removed, restored, tagged, accessed, discovered; changed for everything else."""
    return _KINDS.get(name) or _KINDS.get(name.partition(":")[0], "changed")
