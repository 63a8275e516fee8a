"""What stands on the topic `triggers`: what people ask of triggers, what the processes that run them tell, and what
became of rejected records. One partition, compacted: the last record of a key holds, a tombstone ends it.

    pause/<trigger>                       somebody paused it; its tombstone resumes it
    fire/<trigger>/<request>              somebody wants it fired once
    claim/<trigger>/<request>/<replica>   a process offers to do that; the first claim in log order does it
    fired/<trigger>/<request>             what came of it
    report/<trigger>/<replica>            how the trigger is, in one process
    replica/<replica>                     that process lives
    missing/<trigger>                     its source did not exist: whatever is in it once it does has come since
    rejected/<partition>-<offset>         a record of `rejected` was sent again, or discarded
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import orjson

from processor.core.errors import Undecodable

#: Kinds that every gateway serves by itself: no process that runs triggers has an adapter for them.
GATEWAY_KINDS = frozenset({"cloudevents"})


def trigger_id(function: str, kind: str, settings: Mapping[str, Any]) -> str:
    """Names one entry of a function's `events`; the same as long as its settings are."""
    text = json.dumps(settings, sort_keys=True).encode()
    return f"{function}-{kind}-{hashlib.sha256(text).hexdigest()[:8]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TriggerRecord:
    """One record: its key says what it is about, its value is all of it as JSON."""

    KIND: ClassVar[str] = ""
    #: The fields that make the key, in order.
    KEY: ClassVar[tuple[str, ...]] = ()

    @property
    def key(self) -> str:
        return "/".join((self.KIND, *(getattr(self, name) for name in self.KEY)))

    def encode(self) -> bytes:
        return orjson.dumps(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause(TriggerRecord):
    KIND: ClassVar[str] = "pause"
    KEY: ClassVar[tuple[str, ...]] = ("trigger",)
    trigger: str
    by: str
    at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FireRequest(TriggerRecord):
    KIND: ClassVar[str] = "fire"
    KEY: ClassVar[tuple[str, ...]] = ("trigger", "request")
    trigger: str
    request: str
    by: str
    at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FireClaim(TriggerRecord):
    """Each replica has a key of its own, so that compaction can never make a later claim look like the first."""

    KIND: ClassVar[str] = "claim"
    KEY: ClassVar[tuple[str, ...]] = ("trigger", "request", "replica")
    trigger: str
    request: str
    replica: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FireOutcome(TriggerRecord):
    KIND: ClassVar[str] = "fired"
    KEY: ClassVar[tuple[str, ...]] = ("trigger", "request")
    trigger: str
    request: str
    replica: str
    at_ms: int
    #: Events accepted, and the RequestIds of the first MAX_LISTED of them.
    accepted: int = 0
    request_ids: tuple[str, ...] = ()
    #: Why it could not be fired, and what to do about it; empty when it was.
    error: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report(TriggerRecord):
    KIND: ClassVar[str] = "report"
    KEY: ClassVar[tuple[str, ...]] = ("trigger", "replica")
    trigger: str
    replica: str
    #: A value of TriggerState.
    state: str
    reason: str = ""
    remedy: str = ""
    accepted: int = 0
    rejected: int = 0
    last_event_ms: int | None = None
    lag: int | None = None
    upcoming: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Replica(TriggerRecord):
    KIND: ClassVar[str] = "replica"
    KEY: ClassVar[tuple[str, ...]] = ("replica",)
    #: name#incarnation: never the same for two lives of a process.
    replica: str
    at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingSource(TriggerRecord):
    KIND: ClassVar[str] = "missing"
    KEY: ClassVar[tuple[str, ...]] = ("trigger",)
    trigger: str
    at_ms: int


#: What a rejected record can be marked as.
REDRIVEN, DISCARDED = "redriven", "discarded"


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedMark(TriggerRecord):
    KIND: ClassVar[str] = "rejected"
    KEY: ClassVar[tuple[str, ...]] = ("place",)
    #: <partition>-<offset> on `rejected`.
    place: str
    state: str
    by: str
    at_ms: int
    #: When the record was rejected (log time): the mark outlives it, and not by much.
    rejected_ms: int
    #: Of a redriven one.
    request_id: str = ""
    function: str = ""


_KINDS: Mapping[str, type[TriggerRecord]] = {
    kind.KIND: kind
    for kind in (Pause, FireRequest, FireClaim, FireOutcome, Report, Replica, MissingSource, RejectedMark)
}
#: RequestIds in one outcome.
MAX_LISTED = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A key taken apart: its kind, and the values of the kind's KEY fields."""

    kind: type[TriggerRecord]
    parts: tuple[str, ...] = field(default=())


def parse_key(key: bytes) -> Key:
    """Raises Undecodable for what no version known here writes."""
    name, *parts = key.decode("utf-8", "replace").split("/")
    kind = _KINDS.get(name)
    if kind is None or len(parts) != len(kind.KEY):
        raise Undecodable(f"not a key of the topic `triggers`: {key[:200]!r}")
    return Key(kind=kind, parts=tuple(parts))


def decode(key: Key, value: bytes) -> TriggerRecord:
    """Members that a later version added are left out. Raises Undecodable."""
    try:
        document = orjson.loads(value)
        known = {each.name: document[each.name] for each in fields(key.kind) if each.name in document}
        listed = {name: tuple(each) for name, each in known.items() if isinstance(each, list)}
        record = key.kind(**(known | listed))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Undecodable(f"not a record of the topic `triggers`: {error}") from error
    if record.key.split("/")[1:] != list(key.parts):
        raise Undecodable(f"a record of {record.key!r} stands under {'/'.join(key.parts)!r}")
    return record
