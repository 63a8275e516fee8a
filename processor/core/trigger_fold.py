"""The fold of the topic `triggers`: what holds now. Pure; log order decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from processor.core.trigger_records import (
    FireClaim,
    FireOutcome,
    FireRequest,
    Key,
    MissingSource,
    Pause,
    RejectedMark,
    Replica,
    Report,
    TriggerRecord,
    decode,
    parse_key,
)

T = TypeVar("T")

#: A claim that the log took later than this after the request is void: whoever asked has given up, and a process that
#: starts next week must not fire what was asked today.
CLAIM_WINDOW_MS = 60_000


@dataclass(slots=True)
class Fire:
    """One request to fire, and what has become of it so far."""

    asked: FireRequest
    #: Log time of the request.
    asked_ms: int
    #: Who fires: the replica whose claim was the first that counts.
    owner: str | None = None
    outcome: FireOutcome | None = None
    #: Keys of what else stands on the topic about it.
    keys: set[str] = field(default_factory=set)


class TriggerFold:
    """One thread applies and reads."""

    def __init__(self) -> None:
        self.pauses: dict[str, Pause] = {}
        #: By trigger, then by request, in the order they were asked.
        self.fires: dict[str, dict[str, Fire]] = {}
        #: By trigger, then by replica.
        self.reports: dict[str, dict[str, Report]] = {}
        #: When each replica was last heard of, on the reader's own clock.
        self.heard_sec: dict[str, float] = {}
        #: Triggers whose source did not exist.
        self.missing: dict[str, MissingSource] = {}
        #: By place on `rejected`.
        self.marks: dict[str, RejectedMark] = {}
        self.next_offset = 0

    def apply(self, key: bytes | None, value: bytes | None, *, offset: int, log_ms: int, now_sec: float) -> Key | None:
        """Returns the key that changed, None for what was applied before: a reader that lost its broker may begin at
        the beginning again. Raises Undecodable, and is left as it was.
        """
        if offset < self.next_offset or key is None:
            return None
        self.next_offset = offset + 1
        parsed = parse_key(key)
        if value is None:
            self._remove(parsed)
        else:
            self._put(decode(parsed, value), log_ms, now_sec)
        return parsed

    def fire(self, trigger: str, request: str) -> Fire | None:
        return self.fires.get(trigger, {}).get(request)

    def is_live(self, replica: str, now_sec: float, silence_sec: float) -> bool:
        heard_sec = self.heard_sec.get(replica)
        return heard_sec is not None and now_sec - heard_sec <= silence_sec

    def _put(self, record: TriggerRecord, log_ms: int, now_sec: float) -> None:
        match record:
            case Pause():
                self.pauses[record.trigger] = record
            case FireRequest() | FireClaim() | FireOutcome():
                self._put_fire(record, log_ms)
            case Report():
                self.reports.setdefault(record.trigger, {})[record.replica] = record
            case Replica():
                self.heard_sec[record.replica] = now_sec
            case MissingSource():
                self.missing[record.trigger] = record
            case RejectedMark():
                self.marks[record.place] = record

    def _put_fire(self, record: FireRequest | FireClaim | FireOutcome, log_ms: int) -> None:
        fires = self.fires.setdefault(record.trigger, {})
        if isinstance(record, FireRequest):
            fires.setdefault(record.request, Fire(record, log_ms))
            return
        fire = fires.get(record.request)
        if fire is None:  # what is left of one that was forgotten
            return
        fire.keys.add(record.key)
        if isinstance(record, FireOutcome):
            fire.outcome = record
        elif fire.owner is None and log_ms - fire.asked_ms <= CLAIM_WINDOW_MS:
            fire.owner = record.replica

    def _remove(self, key: Key) -> None:
        first, *rest = key.parts
        if key.kind is Pause:
            self.pauses.pop(first, None)
        elif key.kind is Report:
            _remove_inner(self.reports, first, rest[0])
        elif key.kind is Replica:
            self.heard_sec.pop(first, None)
        elif key.kind is MissingSource:
            self.missing.pop(first, None)
        elif key.kind is RejectedMark:
            self.marks.pop(first, None)
        elif key.kind is FireRequest:  # its claims and its outcome go with it
            _remove_inner(self.fires, first, rest[0])


def _remove_inner(outer: dict[str, dict[str, T]], first: str, second: str) -> None:
    inner = outer.get(first, {})
    inner.pop(second, None)
    if not inner:
        outer.pop(first, None)
