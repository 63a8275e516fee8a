"""Pure: which files count, what identifies one, and the event it becomes."""

from __future__ import annotations

import base64
import os
import re
import stat
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import NamedTuple
from urllib.parse import quote

import orjson

from processor.core.event import Event

EVENT_TYPE = "objectstore.created"
#: Of downloads and copies that are still being written.
_UNFINISHED = (".part", ".tmp", ".crdownload")
#: CloudEvents allows no control characters in attributes.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


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


def event_of(folder: str, key: str, identity: Identity, etag: str | None) -> Event:
    """folder: absolute. key: relative path as os.fsdecode gives it. etag: SHA-256 of the content, when it was taken.

    Names that are not UTF-8 travel as text for people, and byte for byte in `pathBase64`.
    """
    alias = alias_of(folder)
    path = os.path.join(folder, key)
    time = _time(identity.mtime_ns)
    data: dict[str, object] = {
        "bucket": alias,
        "key": _readable(key),
        "path": _readable(path),
        "size": identity.size,
        "time": time,
    }
    if etag is not None:
        data["eTag"] = etag
    if _readable(path) != path:
        data["pathBase64"] = base64.b64encode(os.fsencode(path)).decode()
    return Event(
        id=identity.event_id,
        source=f"objectstore:file/{alias}",
        type=EVENT_TYPE,
        subject=_CONTROL.sub(lambda found: quote(found[0], safe=""), _readable(key)),
        time=time,
        datacontenttype="application/json",
        data=orjson.dumps(data),
    )


def _readable(name: str) -> str:
    """Without the lone surrogates that stand for bytes which are no UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _time(mtime_ns: int) -> str | None:
    try:
        moment = datetime.fromtimestamp(mtime_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):  # file times go from 1901 to 2446 and, on some systems, further
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
