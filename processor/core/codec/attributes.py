"""The rules for CloudEvents attributes that all bindings share."""

from __future__ import annotations

import re
import types
from dataclasses import dataclass

from processor.core.errors import HeadraceError
from processor.core.event import FORMAT_ATTRIBUTE, FUNCTION_ATTRIBUTE, TRIGGER_ATTRIBUTE, Event

SPECVERSION = "1.0"

_OPTIONAL_TEXT = (str, types.NoneType)
_NAME = re.compile(r"[a-z0-9]+")
#: Names that passed _NAME already: ours are on every event of the hot path.
_KNOWN_NAMES = frozenset((FUNCTION_ATTRIBUTE, TRIGGER_ATTRIBUTE, FORMAT_ATTRIBUTE))
#: Not extension names: they are attributes of the specification, or members of its JSON format.
_RESERVED = frozenset(
    ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data")
)
#: A NUL would let two different (source, id) give one RequestId; the specification forbids all of these in its strings.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Malformed:
    """What came in is no event. `reason` names the attribute and what to do about it."""

    reason: str


class Unencodable(HeadraceError):
    """The event breaks a rule of CloudEvents, so whoever read it would refuse it."""

    remedy = "Correct the attribute that the message names before the event is accepted."


def to_event(attributes: dict[str, object], data: bytes | None) -> Event | Malformed:
    """`attributes` is emptied of the specification's own; what stays are extensions. A null value counts as absent."""
    take = attributes.pop
    if (version := take("specversion", None)) != SPECVERSION:
        return _bad_version(version)
    id_, source, kind = take("id", None), take("source", None), take("type", None)
    if (
        not isinstance(id_, str)
        or not isinstance(source, str)
        or not isinstance(kind, str)
        or not _is_identity(id_, source, kind)
    ):
        return Malformed(_identity_fault(id_, source, kind))
    subject, time = take("subject", None), take("time", None)
    content_type, schema = take("datacontenttype", None), take("dataschema", None)
    if (
        not isinstance(subject, _OPTIONAL_TEXT)
        or not isinstance(time, _OPTIONAL_TEXT)
        or not isinstance(content_type, _OPTIONAL_TEXT)
        or not isinstance(schema, _OPTIONAL_TEXT)
    ):
        return Malformed(_optional_fault(subject, time, content_type, schema))
    extensions = _extensions(attributes) if attributes else {}
    if isinstance(extensions, Malformed):
        return extensions
    return Event(
        id=id_,
        source=source,
        type=kind,
        subject=subject or None,
        time=time or None,
        datacontenttype=content_type or None,
        dataschema=schema or None,
        extensions=extensions,
        data=data,
    )


def fault_of(event: Event) -> str | None:
    """Why a reader would refuse this event, or None."""
    if not _is_identity(event.id, event.source, event.type):
        return _identity_fault(event.id, event.source, event.type)
    for name, value in event.extensions.items():
        if name not in _KNOWN_NAMES and not is_extension_name(name):
            return name_fault(name)
        if type(value) is not str:
            return f"extension {name!r} must be text in an event"
    return None


def is_extension_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name not in _RESERVED


def name_fault(name: str) -> str:
    if name in _RESERVED:
        return f"{name!r} belongs to CloudEvents itself: give the extension another name"
    return f"attribute name {name!r} is not allowed: use only lower-case letters a-z and digits"


def _is_identity(id_: str, source: str, kind: str) -> bool:
    if not (id_ and source and kind):
        return False
    # isprintable says quickly that there is no control character; what it refuses besides (rare spaces) is fine.
    text = id_ + source + kind
    return text.isprintable() or _CONTROL.search(text) is None


def _identity_fault(*values: object) -> str:
    for name, value in zip(("id", "source", "type"), values, strict=True):
        if value is None:
            return f"attribute {name!r} is missing: every event needs a non-empty {name}"
        if not isinstance(value, str) or not value:
            return f"attribute {name!r} must be a non-empty string, not {_shown(value)}"
        if _CONTROL.search(value):
            break
    return f"attribute {name!r} contains control characters: leave them out"


def _optional_fault(*values: object) -> str:
    names = ("subject", "time", "datacontenttype", "dataschema")
    name, value = next(
        each for each in zip(names, values, strict=True) if each[1] is not None and not isinstance(each[1], str)
    )
    return f"attribute {name!r} must be a string, not {_shown(value)}"


def _extensions(attributes: dict[str, object]) -> dict[str, str] | Malformed:
    extensions = {}
    for name, value in attributes.items():
        if name not in _KNOWN_NAMES and not is_extension_name(name):
            return Malformed(name_fault(name))
        if type(value) is str:
            extensions[name] = value
        elif isinstance(value, bool):
            extensions[name] = "true" if value else "false"
        elif isinstance(value, int):
            extensions[name] = str(value)
        elif value is not None:
            return Malformed(f"extension {name!r} must be a string, an integer or a boolean, not {_shown(value)}")
    return extensions


def _bad_version(version: object) -> Malformed:
    if version is None:
        return Malformed(f"attribute 'specversion' is missing: send specversion {SPECVERSION!r}")
    return Malformed(f"attribute 'specversion' is {_shown(version)}: only {SPECVERSION!r} is understood")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
