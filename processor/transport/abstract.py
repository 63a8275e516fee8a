"""The transport port: the only thing Headrace knows of Kafka, or of the embedded log.

Vocabulary. A *topic* has *partitions*; a partition is a log of *records* numbered by *offset*. An offset that is
committed, sought or returned as a bound always means the NEXT record. Topic names are logical: an installation's
prefix is added and removed inside the transport. Nothing here may be shared between threads unless it says so.

Every write has three outcomes: YES it is durable, NO it will never appear, UNKNOWN it may be on the log already or
appear later. Callers repeat after NO and UNKNOWN alike, because every append is idempotent under the ledger's fold
(DESIGN 5); the only operation that decides something is `Consumer.commit`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import NamedTuple, Self

from processor.core.errors import HeadraceError
from processor.core.topics import Topic

Headers = Sequence[tuple[str, bytes]]


class Outcome(Enum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class TopicPartition(NamedTuple):
    topic: str
    partition: int


class Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    #: Epoch of the partition's leader when the record was appended; the embedded transport has always 0.
    leader_epoch: int
    #: When the log took it (LogAppendTime), Unix milliseconds.
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Committed(NamedTuple):
    offset: int
    #: At most 4,095 bytes of text.
    metadata: str


class Bounds(NamedTuple):
    #: Offset of the first record that still exists.
    low: int
    #: Offset that the next appended record will get.
    high: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Appended:
    """The outcome of one awaited append. partition and offset are set only when outcome is YES."""

    outcome: Outcome
    partition: int = -1
    offset: int = -1
    reason: str = ""


class TransportError(HeadraceError):
    """The transport could not do what was asked."""

    remedy = "Check that the broker (or the data folder) is reachable: `headrace doctor`."


class TransportUnavailable(TransportError):
    """The broker (or the disk) did not answer within the time limit."""


class NotLetIn(TransportUnavailable):
    """The broker answers, and does not let us in."""


class AppendFailed(TransportError):
    """An append of this session failed; its session takes no more."""

    def __init__(self, outcome: Outcome, reason: str, *, too_large: bool = False) -> None:
        """too_large: the log took none of a batch because of its size; its topic takes less than ours should."""
        super().__init__(f"append failed ({outcome.value}): {reason}")
        self.outcome = outcome
        self.reason = reason
        self.too_large = too_large


class RecordTooLarge(TransportError):
    """The record is larger than its topic allows."""

    remedy = "Keep large payloads in object storage and send their address."


class BufferFull(TransportError):
    """The local buffer of this session is full; flush, then append again."""


class UnknownTopic(TransportError):
    """The topic does not exist on this transport."""

    remedy = "Create the topics of this installation: `headrace topics init`."


class Producer(ABC):
    """An in-order session of appends, used by one thread.

    Records of one partition appear in the order they were appended. After a failed append the session is broken and
    must be closed and replaced: a later record may have landed although an earlier one did not.
    """

    @abstractmethod
    def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> None:
        """Queues one record; does not block. partition None: chosen by key, or spread.

        Raises RecordTooLarge (nothing was queued, the session goes on), BufferFull (likewise), AppendFailed when the
        session is already broken.
        """

    @abstractmethod
    def flush(self, timeout_sec: float) -> None:
        """Blocks until every record appended so far is durable (YES).

        Raises AppendFailed(NO or UNKNOWN) otherwise: then each record since the last good flush is unknown to the
        caller, and the session is broken. UNKNOWN also after timeout_sec.
        """

    @abstractmethod
    def landed(self, timeout_sec: float) -> bool:
        """The same, with patience: False after timeout_sec, and the session goes on to wait for its answers.

        Raises AppendFailed as `flush` does, when a record has failed or was given up (Kafka: after 10 s).
        """

    @abstractmethod
    def poll(self) -> None:
        """Lets background work report; never blocks. Raises AppendFailed when an append has failed meanwhile."""

    @abstractmethod
    def close(self) -> None:
        """Gives the session up within a second; what was not flushed is UNKNOWN."""


class Appender(ABC):
    """Appends for asyncio roles: each awaited on its own, any number at once. Never raises for a failed append."""

    @abstractmethod
    async def start(self) -> None:
        """Connects. Raises TransportUnavailable."""

    @abstractmethod
    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Appended:
        """Returns when the record is durable, certainly refused, or after the appender's time limit (UNKNOWN)."""

    @abstractmethod
    async def stop(self) -> None:
        """Flushes for a few seconds, then gives up."""


class RebalanceListener(ABC):
    """What a group member is told about its partitions. Called only inside Consumer.poll, leave and close."""

    @abstractmethod
    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """New partitions, none of which is paused. Returns the offset to read each from; a partition left out is
        read from its committed offset, or from its low bound when nothing is committed. May block for a few calls of
        Consumer (committed, bounds, offsets_at).
        """

    @abstractmethod
    def on_revoke(self, partitions: Collection[TopicPartition]) -> None:
        """These go to another member once this returns. Everything buffered of them must be gone by then."""

    @abstractmethod
    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        """These already belong to somebody else. Everything buffered of them must be gone when this returns, and
        this consumer object may never commit them again.
        """


class Consumer(ABC):
    """A member of a consumer group, used by one thread.

    The fence of `commit` is MEMBERSHIP, not ownership (DESIGN 5): a member that was evicted while it slept is
    refused; a live member may commit any partition, owned or not; who never joined may commit while the group is empty,
    and who has left may until its leave has reached the coordinator. Whoever must not commit has to keep quiet by its
    own rules.
    """

    @abstractmethod
    def subscribe(self, topics: Collection[str]) -> None:
        """Replaces the set of topics; joins the group at the next poll. An empty set leaves the group."""

    @abstractmethod
    def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        """Returns up to max_records, as soon as there are any, or [] after timeout_sec. Keeps the membership alive
        and runs the listener. With max_records 0 it only does the latter. Raises TransportError when the member
        cannot go on (it must be closed and made anew).
        """

    @abstractmethod
    def assignment(self) -> frozenset[TopicPartition]: ...

    @abstractmethod
    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """poll returns nothing of these until resume; they stay assigned. Records already fetched are fetched again."""

    @abstractmethod
    def resume(self, partitions: Collection[TopicPartition]) -> None: ...

    @abstractmethod
    def seek(self, partition: TopicPartition, offset: int) -> None:
        """poll goes on from this offset of an assigned partition."""

    @abstractmethod
    def commit(
        self, offsets: Mapping[TopicPartition, Committed], timeout_sec: float
    ) -> Mapping[TopicPartition, Outcome]:
        """Blocks until the coordinator has answered, at most about timeout_sec. YES: applied. NO: not applied and never
        will be: this member is fenced, or an earlier commit still waits and this one was not sent. UNKNOWN: anything
        else; read it back with `committed`. One request can be applied for one partition and refused for another. Never
        raises for a failed commit.
        """

    @abstractmethod
    def committed(
        self, partitions: Collection[TopicPartition], timeout_sec: float
    ) -> Mapping[TopicPartition, Committed | None]:
        """The group's committed offsets and metadata, read from the coordinator; None = never committed.
        Raises TransportUnavailable.
        """

    @abstractmethod
    def bounds(self, partitions: Collection[TopicPartition], timeout_sec: float) -> Mapping[TopicPartition, Bounds]: ...

    @abstractmethod
    def offsets_at(
        self, partitions: Collection[TopicPartition], unix_ms: int, timeout_sec: float
    ) -> Mapping[TopicPartition, int]:
        """The first offset whose record is not older than unix_ms; the high bound when there is none."""

    @abstractmethod
    def leave(self) -> None:
        """Leaves the group now (on_revoke runs first). subscribe joins again. Blocks a few seconds at most."""

    @abstractmethod
    def close(self) -> None:
        """Leaves and releases everything."""


class Reader(ABC):
    """Reads partitions without a group, used by one thread: views, recovery, the recorder."""

    @abstractmethod
    def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Replaces what is read, and from where."""

    @abstractmethod
    def poll(self, max_records: int, timeout_sec: float) -> list[Record]: ...

    @abstractmethod
    def partitions(self, topic: str, timeout_sec: float) -> list[TopicPartition]:
        """Raises UnknownTopic, TransportUnavailable."""

    @abstractmethod
    def bounds(self, partitions: Collection[TopicPartition], timeout_sec: float) -> Mapping[TopicPartition, Bounds]: ...

    @abstractmethod
    def offsets_at(
        self, partitions: Collection[TopicPartition], unix_ms: int, timeout_sec: float
    ) -> Mapping[TopicPartition, int]: ...

    @abstractmethod
    def positions(self) -> Mapping[TopicPartition, int]:
        """The offset each assigned partition will be read from next; over a hole left by compaction it may lag until
        poll has passed it.
        """

    @abstractmethod
    def close(self) -> None: ...


class Tail(ABC):
    """A Reader for asyncio roles."""

    @abstractmethod
    async def start(self, topics: Collection[str], *, from_low: bool) -> None:
        """Reads all partitions of the topics, from their low bounds or from their high bounds as of now."""

    @abstractmethod
    async def poll(self, max_records: int, timeout_sec: float) -> list[Record]: ...

    @abstractmethod
    async def at_end(self) -> bool:
        """True once everything that was there when `start` was called has been returned by poll."""

    @abstractmethod
    async def stop(self) -> None: ...


class Admin(ABC):
    """Topics and group offsets; thread-safe."""

    @abstractmethod
    def create_topics(self, topics: Iterable[Topic], timeout_sec: float) -> list[str]:
        """Creates those that are missing, with max.message.bytes, LogAppendTime, cleanup policy and retention of the
        table. Returns the names it created. Blocks until they can be written to.
        """

    @abstractmethod
    def topics(self, timeout_sec: float) -> Mapping[str, int]:
        """Logical name -> number of partitions, of this installation only. Raises TransportUnavailable."""

    @abstractmethod
    def delete_topic(self, topic: str, timeout_sec: float) -> None: ...

    @abstractmethod
    def delete_records(self, below: Mapping[TopicPartition, int], timeout_sec: float) -> None:
        """Deletes what lies below these offsets (the janitor of DESIGN 5.7)."""

    @abstractmethod
    def committed(
        self, group: str, partitions: Collection[TopicPartition], timeout_sec: float
    ) -> Mapping[TopicPartition, Committed | None]:
        """Another group's committed offsets, read without joining it. Raises TransportUnavailable."""

    @abstractmethod
    def topic_id(self, topic: str, timeout_sec: float) -> bytes:
        """16 bytes that differ between two creations of a topic of the same name."""


class Transport(ABC):
    """Makes the objects above. Thread-safe. One per process."""

    @abstractmethod
    def producer(self, *, linger_ms: int = 0) -> Producer: ...

    @abstractmethod
    def consumer(self, group: str, listener: RebalanceListener) -> Consumer:
        """group: the logical name ("executor", "dispatcher"); the prefix is added inside."""

    @abstractmethod
    def reader(self, *, patient: bool = False) -> Reader:
        """patient: for who reads along with nobody waiting; records may come some 50 ms late, and then many at once,
        which spares the broker a request for each.
        """

    @abstractmethod
    def appender(self) -> Appender: ...

    @abstractmethod
    def tail(self) -> Tail: ...

    @abstractmethod
    def admin(self) -> Admin: ...

    @abstractmethod
    def close(self) -> None:
        """Closes what all objects share; the objects themselves must be closed before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
