"""The records of the `runs` topic and how they fold into the truth about a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from processor.core.errors import Undecodable
from processor.core.run import Delivery, RunError, Status, StatusCode


class Position(NamedTuple):
    """A place on the intake log. Positions of one partition compare by (leader epoch, offset)."""

    partition: int
    leader_epoch: int
    offset: int

    @property
    def order(self) -> tuple[int, int]:
        return (self.leader_epoch, self.offset)


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    request_id: str
    function: str
    version: str
    trigger: str
    source: str
    event_id: str
    subject: str | None
    accepted_at_ms: int
    intake: Position


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    request_id: str
    function: str
    delivery: Delivery
    executor: str
    started_at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A verdict. `delivery` is None only for events that never reached a queue (unknown function, too large)."""

    request_id: str
    function: str
    delivery: Delivery | None
    status_code: StatusCode
    error: RunError | None = None
    #: The handler's return value as JSON bytes; None when there is none.
    result: bytes | None = None
    executor: str = ""
    instance: str = ""
    cold_start: bool = False
    started_at_ms: int | None = None
    ended_at_ms: int = 0
    duration_ms: float | None = None
    memory_mb: float | None = None
    log_lines: int = 0

    @property
    def status(self) -> Status:
        return self.status_code.status


LedgerRecord = Accepted | Started | Ended


def encode(record: LedgerRecord) -> bytes:
    if isinstance(record, Ended):
        return _encode_ended(record)
    kind = "accepted" if isinstance(record, Accepted) else "started"
    return orjson.dumps({"type": kind, **{name: getattr(record, name) for name in record.__slots__}}, default=_plain)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, Position) else str(value)


def _encode_ended(record: Ended) -> bytes:
    document: dict[str, Any] = {"type": "ended", "status": record.status.value}
    document.update((name, getattr(record, name)) for name in record.__slots__)
    document["delivery"] = record.delivery and str(record.delivery)
    document["status_code"] = int(record.status_code)
    # Fragment: the result is JSON already; parsing a megabyte to write it out again would cost milliseconds.
    document["result"] = None if record.result is None else orjson.Fragment(record.result)
    return orjson.dumps(document)


def decode(value: bytes | None) -> LedgerRecord:
    """Raises Undecodable when the bytes are no ledger record; the caller counts it and goes on."""
    try:
        document = orjson.loads(value or b"")
        return _DECODERS[document.pop("type")](document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Undecodable(f"not a ledger record: {error!r}") from error


def _accepted(document: dict[str, Any]) -> Accepted:
    document["intake"] = Position(*document["intake"])
    return Accepted(**document)


def _started(document: dict[str, Any]) -> Started:
    document["delivery"] = _delivery(document["delivery"])
    return Started(**document)


def _ended(document: dict[str, Any]) -> Ended:
    document.pop("status")
    document["delivery"] = document["delivery"] and _delivery(document["delivery"])
    document["status_code"] = StatusCode(document["status_code"])
    document["error"] = document["error"] and RunError(**document["error"])
    document["result"] = None if document["result"] is None else orjson.dumps(document["result"])
    return Ended(**document)


def _delivery(value: str | list[Any]) -> Delivery:
    return Delivery.parse(value) if isinstance(value, str) else Delivery(*value)


_DECODERS: dict[str, Callable[[dict[str, Any]], LedgerRecord]] = {
    "accepted": _accepted,
    "started": _started,
    "ended": _ended,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryState:
    """What the ledger says of one delivery. The first `ended` in log order is the verdict; later ones are void."""

    started: Started | None = None
    verdict: Ended | None = None
    void_verdicts: int = 0

    @property
    def status(self) -> Status:
        if self.verdict is not None:
            return self.verdict.status
        return Status.QUEUED if self.started is None else Status.RUNNING


def fold(state: DeliveryState, record: Started | Ended) -> DeliveryState:
    """Applies the next record of a delivery, in log order. Applying a record twice changes no verdict."""
    if isinstance(record, Started):
        return state if state.started is not None else replace(state, started=record)
    if state.verdict is None:
        return replace(state, verdict=record)
    if state.verdict == record:
        return state
    return replace(state, void_verdicts=state.void_verdicts + 1)


def fold_all(records: Iterable[Started | Ended]) -> DeliveryState:
    state = DeliveryState()
    for record in records:
        state = fold(state, record)
    return state
