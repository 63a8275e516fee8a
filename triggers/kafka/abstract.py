"""What a Kafka source hands out, and what it wants back.

One consumer loop serves every binding whose events come out of a Kafka topic: `kafka` triggers, and `storage` triggers
whose notifications a broker carries. They differ in one pure function, `Normalise`. The loop calls it on the event
loop, once for each record, in the order of the partition, and again with the same record after a crash or a rebalance:
the same record must give the same events, with the same identities, on every replica. It must not block and must not
raise; what is wrong with a record is its answer, not an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from processor.core.event import Event

Headers = Sequence[tuple[str, bytes]]


class SourceRecord(NamedTuple):
    """One record of the source topic, as it is on the broker."""

    #: The broker's cluster id.
    cluster: str
    topic: str
    partition: int
    offset: int
    #: Unix milliseconds; immutable, whoever set it.
    timestamp_ms: int
    #: None: the record has no key, which is not the same as b"".
    key: bytes | None
    #: None: a tombstone, which is not the same as b"".
    value: bytes | None
    #: In their order, names may repeat; a value of null is b"".
    headers: Headers = ()
    #: The broker set the timestamp, not the producer.
    log_append_time: bool = False

    @property
    def origin(self) -> str:
        """For people, and on `rejected`."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def position_id(self) -> str:
        """Identifies the record within its topic, so for an event that has no better identity of its own it is the
        `id`, below `source_uri`. The timestamp tells the topic from an earlier one of the same name, deleted since.
        """
        return f"{self.partition}-{self.offset}-{self.timestamp_ms:x}"

    @property
    def source_uri(self) -> str:
        return f"kafka:{self.cluster}/{self.topic}"

    @property
    def fallback_identity(self) -> str:
        """`source_uri` and `position_id` in one: unique over all clusters, topics and records."""
        return f"{self.source_uri}/{self.position_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRecord:
    """The record cannot become an event, now or later: it goes to `rejected`, with this reason, and its partition
    goes on.
    """

    reason: str
    #: What may be kept, where the record's own bytes must not be: they hold somebody's secret.
    raw: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixed:
    """Some parts of the record become events, and some cannot."""

    events: Sequence[Event]
    #: Each with its own bytes.
    poison: Sequence[BadRecord]


#: The events of one record, in order; none when it is none of this trigger's business (filtered out, a test message);
#: or BadRecord; or some of both. A record is acknowledged once all its events are durable on intake, and its poison on
#: `rejected`.
Normalise = Callable[[SourceRecord], Sequence[Event] | Mixed | BadRecord]
