"""Pure: which files count, what identifies one, and the event it becomes."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import NamedTuple
from urllib.parse import quote

import orjson

from processor.core.event import Event
from triggers.object_storage.change import ObjectChange, Provider
from triggers.object_storage.keys import attribute, exact, readable, url_encoded
from triggers.object_storage.platform_shapes import as_cos_record, as_s3_record

EVENT_TYPE = "objectstore.created"
#: Of downloads and copies that are still being written.
_UNFINISHED = (".part", ".tmp", ".crdownload")


class Identity(NamedTuple):
    """One content of one file. Written anew, it is another one; renamed, it is the same."""

    device: int
    inode: int
    mtime_ns: int
    size: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)

    @property
    def event_id(self) -> str:
        return "-".join(f"{part & 0xFFFFFFFFFFFFFFFF:x}" for part in self)


def is_wanted_folder(name: str) -> bool:
    return not name.startswith(".")


def is_wanted(key: str, pattern: str) -> bool:
    """key: relative path. pattern: for the name, or for the whole key when it has a slash. Case matters."""
    name = key.rpartition("/")[2]
    if name.startswith(".") or name.endswith(_UNFINISHED):
        return False
    return fnmatchcase(key if "/" in pattern else name, pattern)


def is_regular(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)


def alias_of(folder: str) -> str:
    """The last part of the folder's path, fit for a URI."""
    return quote(os.fsencode(PurePath(folder).name or "root"), safe="")


def event_of(folder: str, key: str, identity: Identity, etag: str | None, event_format: str = "cloudevents") -> Event:
    """folder: absolute. key: relative path as os.fsdecode gives it. etag: SHA-256 of the content, when it was taken."""
    alias = alias_of(folder)
    time = _time(identity.mtime_ns)
    change = ObjectChange(
        provider=Provider.AWS,
        bucket=alias,
        key=key,
        name="ObjectCreated:Put",
        original_name="ObjectCreated:Put",
        time=time,
        size=identity.size,
        etag=etag,
        identity=(),
        record={},
    )
    return Event(
        id=identity.event_id,
        source=f"objectstore:file/{alias}",
        type=EVENT_TYPE,
        subject=attribute(key),
        time=time,
        datacontenttype="application/json",
        data=orjson.dumps(_data(change, os.path.join(folder, key), event_format)),
    )


def _data(change: ObjectChange, path: str, event_format: str) -> dict[str, object]:
    if event_format == "aws":
        return {"Records": [as_s3_record(change) | {"file": _where(path)}]}
    if event_format == "scf":
        record = as_cos_record(change)
        record["cos"]["cosObject"]["url"] = f"file://{url_encoded(path)}"
        return {"Records": [record | {"file": _where(path)}]}
    data: dict[str, object] = {
        "bucket": change.bucket,
        "key": readable(change.key),
        "size": change.size,
        "time": change.time,
        **_where(path),
    }
    return data if change.etag is None else data | {"eTag": change.etag}


def _where(path: str) -> dict[str, str]:
    """Names that are not UTF-8 travel as text for people, and byte for byte in `pathBase64`."""
    raw = exact(path)
    return {"path": readable(path)} | ({"pathBase64": raw} if raw is not None else {})


def _time(mtime_ns: int) -> str | None:
    try:
        moment = datetime.fromtimestamp(mtime_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):  # file times go from 1901 to 2446 and, on some systems, further
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
