from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from triggers.object_storage.aws import Access, client, naming_errors
from triggers.object_storage.change import ObjectChange, Provider
from triggers.object_storage.rules import StorageRules

#: Of one page: S3's own limit.
PAGE = 1_000


class Listed(NamedTuple):
    key: str
    size: int
    etag: str
    modified: datetime


class Page(NamedTuple):
    objects: list[Listed]
    #: For the next page; None after the last.
    token: str | None


class Bucket:
    """A bucket as a listing shows it. Every method blocks, is used from any thread and raises StoreError."""

    def __init__(self, name: str, access: Access, environment: Mapping[str, str]) -> None:
        self._name = name
        self._s3 = client("s3", access, environment)

    def close(self) -> None:
        self._s3.close()

    def page(self, prefix: str, token: str | None) -> Page:
        """In the order of the keys."""
        more = {} if token is None else {"ContinuationToken": token}
        with naming_errors(f"bucket {self._name}"):
            answer = self._s3.list_objects_v2(Bucket=self._name, Prefix=prefix, MaxKeys=PAGE, **more)
        following = answer.get("NextContinuationToken") if answer.get("IsTruncated") else None
        return Page([_listed(each) for each in answer.get("Contents", ())], following)


def _listed(found: Mapping[str, Any]) -> Listed:
    return Listed(found["Key"], int(found["Size"]), str(found.get("ETag", "")).strip('"'), found["LastModified"])


def change_of(listed: Listed, rules: StorageRules) -> ObjectChange:
    """The same object gives the same identity whenever, and by whomever, it is found."""
    provider = rules.provider or Provider.AWS
    time = listed.modified.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return ObjectChange(
        provider=provider,
        bucket=rules.bucket,
        key=listed.key,
        name="ObjectDiscovered",
        original_name="ObjectDiscovered",
        time=time,
        size=listed.size,
        # The notifications of COS have no checksum: with one, no object would be found among them.
        etag=None if provider is Provider.COS else listed.etag,
        identity=("discovered", rules.bucket, listed.key, listed.etag, str(listed.size)),
        record={"Key": listed.key, "Size": listed.size, "ETag": listed.etag, "LastModified": time},
    )
