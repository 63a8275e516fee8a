"""What recovery reads: open intents, and what the ledger says of some runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from processor.core.claims import CommitTag
from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.inflight import Intent
from processor.core.ledger import Accepted, DeliveryState, decode, fold
from processor.core.request_id import partition_of
from processor.core.run import Delivery
from processor.core.topics import RUNS
from processor.transport.abstract import Committed, Reader, Record, TopicPartition
from processor.transport.replay import read_until

log = logging.getLogger(__name__)

EXECUTOR_GROUP = "executor"
CALL_SEC = 10.0
READ_SEC = 60.0
#: `runs` is read from the beginning of the oldest run in question, which may have been going on for a day.
READ_RUNS_SEC = 1_800.0


@dataclass(slots=True)
class OpenIntents:
    """Open intents as read from `inflight`, and since when each of them stands there (Unix milliseconds)."""

    intents: dict[bytes, Intent] = field(default_factory=dict)
    since_ms: dict[bytes, int] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        key = record.key or b""
        if record.value is None:
            self.intents.pop(key, None)
            self.since_ms.pop(key, None)
            return
        try:
            self.intents[key] = Intent.decode(record.value)
        except Undecodable as error:
            log.warning("an intent cannot be read: %s", error, extra={"action": "recovery_undecodable"})
        else:
            # Written again by a session that came after a failed one, it is as old as it was.
            self.since_ms.setdefault(key, record.timestamp_ms)

    def where(self, chosen: Callable[[Intent], bool]) -> dict[bytes, Intent]:
        return {key: each for key, each in self.intents.items() if chosen(each)}


def read_deliveries(
    reader: Reader, clock: Clock, request_ids: Collection[str], *, since_ms: int, run_partitions: int
) -> dict[Delivery, DeliveryState]:
    """What the ledger says now of all deliveries of these runs that began after since_ms (Unix, the log's time).

    Blocks. Raises TransportUnavailable.
    """
    if not request_ids:
        return {}
    keys = {each.encode() for each in request_ids}
    numbers = {partition_of(each, run_partitions) for each in request_ids}
    partitions = [TopicPartition(RUNS.name, number) for number in sorted(numbers)]
    ends = {each: bound.high for each, bound in reader.bounds(partitions, CALL_SEC).items()}
    reader.assign(reader.offsets_at(partitions, max(since_ms, 0), CALL_SEC))
    states: dict[Delivery, DeliveryState] = {}
    for record in read_until(reader, ends, clock, timeout_sec=READ_RUNS_SEC):
        if record.key in keys:
            _fold(states, record)
    return states


def _fold(states: dict[Delivery, DeliveryState], record: Record) -> None:
    try:
        entry = decode(record.value)
    except Undecodable:
        return
    if not isinstance(entry, Accepted) and entry.delivery is not None:
        states[entry.delivery] = fold(states.get(entry.delivery, DeliveryState()), entry)


def tag_of(committed: Committed) -> CommitTag | None:
    """None: somebody else committed for the group."""
    try:
        return CommitTag.decode(committed.metadata)
    except Undecodable:
        return None
