"""Pure: the event that a change becomes, with its data in the shape that the trigger's handler wants."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import quote

import orjson

from processor.core.event import Event
from triggers.object_storage.change import ObjectChange
from triggers.object_storage.keys import attribute, exact, readable
from triggers.object_storage.platform_shapes import as_cos_record, as_s3_record
from triggers.object_storage.rules import StorageRules
from triggers.object_storage.sequencer import order_of

#: Extension attributes: the provider's own name of the change, and what names the object's content.
NAME_ATTRIBUTE = "origeventname"
VERSION_ATTRIBUTE = "objectversion"


def event_of(change: ObjectChange, rules: StorageRules) -> Event:
    extensions, version = {NAME_ATTRIBUTE: attribute(change.original_name)}, change.version
    if version:
        extensions[VERSION_ATTRIBUTE] = attribute(version)
    return Event(
        id=change.event_id,
        source=source_of(rules.alias or change.provider.family, change.bucket),
        type=f"objectstore.{change.kind}",
        subject=attribute(change.key),
        time=change.time,
        datacontenttype="application/json",
        extensions=extensions,
        data=orjson.dumps(_data(change, rules.event_format)),
    )


@lru_cache(maxsize=256)
def source_of(alias: str, bucket: str) -> str:
    return f"objectstore:{quote(alias, safe='')}/{quote(bucket, safe='')}"


def _data(change: ObjectChange, event_format: str) -> dict[str, Any]:
    if event_format == "aws":
        return {"Records": [as_s3_record(change)]}
    if event_format == "scf":
        return {"Records": [as_cos_record(change)]}
    return normal_data(change)


def normal_data(change: ObjectChange) -> dict[str, Any]:
    """The same names for every provider; what the provider did not tell is left out."""
    fields: dict[str, Any] = {
        "provider": change.provider.value,
        "bucket": change.bucket,
        "key": readable(change.key),
        "keyBase64": exact(change.key),
        "size": change.size,
        "eTag": change.etag,
        "versionId": change.version_id,
        "objectVersion": change.version,
        "eventName": change.name,
        "time": change.time,
        "region": change.region,
        "sequencer": change.sequencer,
        "order": order_of(change.provider, change.sequencer),
        "record": change.record,
    }
    return {name: value for name, value in fields.items() if value is not None}
