"""What the log says, read from its beginning: the ledger, the open intents, the numbers of the log lines."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.inflight import Intent, Sign, SignKind
from processor.core.ledger import Accepted, DeliveryState, Ended, Started, decode, fold
from processor.core.loglines import lost_count
from processor.core.progress import is_progress
from processor.core.run import Delivery
from processor.core.topics import INFLIGHT, INSTANCES, LOGS, RUNS
from processor.transport.abstract import Record, Transport
from processor.transport.replay import read_to_end

CALL_SEC = 10.0
#: A million runs are some gigabytes of ledger.
READ_SEC = 1_800.0


@dataclass(slots=True)
class RunFacts:
    """One RequestId."""

    function: str = ""
    #: Different places on the intake log: more than one is a repeat of upstream, or of a dispatcher.
    accepted: set[tuple[int, int, int]] = field(default_factory=set)
    deliveries: dict[Delivery | None, DeliveryState] = field(default_factory=dict)
    #: Executors that wrote `started`, by delivery.
    starters: dict[Delivery, set[str]] = field(default_factory=dict)

    @property
    def verdict(self) -> Ended | None:
        return next((each.verdict for each in self.deliveries.values() if each.verdict is not None), None)


@dataclass(slots=True)
class LineFacts:
    """The log lines of one delivery."""

    next_seq: int = 1
    gaps: int = 0


@dataclass(slots=True)
class Facts:
    runs: dict[str, RunFacts] = field(default_factory=dict)
    #: Open intents by key.
    intents: dict[bytes, Intent] = field(default_factory=dict)
    lines: dict[tuple[str, str], LineFacts] = field(default_factory=dict)
    #: Executors that bear a mark: what they had read and not published is gone with them.
    dead: set[str] = field(default_factory=set)
    undecodable: int = 0


def read_facts(transport: Transport, clock: Clock) -> Facts:
    """Blocks until the topics have been read to their present end. Raises TransportError."""
    facts = Facts()
    reader = transport.reader()
    try:
        for topic, take in _TAKEN:
            partitions = reader.partitions(topic, CALL_SEC)
            for record in read_to_end(reader, partitions, clock, timeout_sec=READ_SEC):
                try:
                    take(facts, record)
                except Undecodable:
                    facts.undecodable += 1
    finally:
        reader.close()
    return facts


def _take_intent(facts: Facts, record: Record) -> None:
    key = record.key or b""
    if record.value is None:
        facts.intents.pop(key, None)
    else:
        facts.intents[key] = Intent.decode(record.value)


def _take_run(facts: Facts, record: Record) -> None:
    entry = decode(record.value)
    run = facts.runs.setdefault(entry.request_id, RunFacts())
    run.function = entry.function
    if isinstance(entry, Accepted):
        run.accepted.add(entry.intake)
        return
    run.deliveries[entry.delivery] = fold(run.deliveries.get(entry.delivery, DeliveryState()), entry)
    if isinstance(entry, Started):
        run.starters.setdefault(entry.delivery, set()).add(entry.executor)


def _take_sign(facts: Facts, record: Record) -> None:
    if record.value is not None and (sign := Sign.decode(record.value)).kind is SignKind.DEAD:
        facts.dead.add(sign.process)


def take_lines(facts: Facts, record: Record) -> None:
    if is_progress(record.value):
        return
    try:
        document = orjson.loads(record.value or b"")
        key = (document["request_id"], document["delivery"])
        numbers = [(line[0], max(lost_count(line[1], line[4]), 1)) for line in document["lines"]]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Undecodable(f"not a record of log lines: {error!r}") from error
    seen = facts.lines.setdefault(key, LineFacts())
    for number, count in numbers:
        if number + count > seen.next_seq:  # lower ones are repeats after a failed session
            seen.gaps += number > seen.next_seq
            seen.next_seq = number + count


_TAKEN = (
    (INFLIGHT.name, _take_intent),
    (RUNS.name, _take_run),
    (LOGS.name, take_lines),
    (INSTANCES.name, _take_sign),
)
