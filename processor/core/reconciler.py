"""What the slow reconciler makes of ledger, commits and intents (DESIGN 5.5): runs that nobody will ever end.

There should be none. Recovery closes what a dead executor held by its intents; this looks for what has no intent any
more, or never had one, and no verdict either.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from processor.core.claims import Stamp, Vector
from processor.core.inflight import Intent
from processor.core.ledger import Accepted, Ended, LedgerRecord, Position, Started
from processor.core.request_id import partition_of
from processor.core.run import Delivery
from processor.core.topics import QUEUE_PREFIX

#: Accepted runs that are followed until they start; some 500 bytes each. What comes beyond is only counted.
FOLLOWED_RUNS = 100_000
#: Runs whose start or end was seen lately: an `accepted` that is repeated for one of them is no news.
REMEMBERED_RUNS = 100_000
#: The most that an executor's window of repeats can reach back in a queue partition (DESIGN 5.3b).
WINDOW_RECORDS = 50_000
#: A suspect of every look in this time is closed. More than any executor that still has something to write can be
#: silent: after the isolation limit (60 s by default) it has killed what it ran.
AGREE_AFTER_SEC = 600.0

#: Topic and partition of a queue.
QueueKey = tuple[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """A run without a verdict that nobody seems to hold."""

    request_id: str
    function: str
    #: Of what was started. None: claimed as the vector says, and not started; the queue has to tell which entry it was.
    delivery: Delivery | None
    #: Where the event stands on the intake log, of what was not started.
    intake: Position | None = None
    executor: str = ""
    since_ms: int = 0

    @property
    def key(self) -> tuple[str, Delivery | None]:
        return (self.request_id, self.delivery)


class Passed(NamedTuple):
    """The committed state of one queue partition."""

    offset: int
    vector: Vector


class OpenRuns:
    """The ledger in log order, reduced to what has no verdict yet."""

    def __init__(self, *, followed: int = FOLLOWED_RUNS, remembered: int = REMEMBERED_RUNS) -> None:
        self._followed = followed
        self._remembered = remembered
        self._waiting: dict[str, Suspect] = {}
        self._running: dict[Delivery, Suspect] = {}
        self._lately: OrderedDict[str, None] = OrderedDict()
        #: Accepted runs that were not taken up because too many are.
        self.unfollowed = 0

    def observe(self, entry: LedgerRecord, timestamp_ms: int) -> None:
        """The next record of `runs`; timestamp_ms: when the log took it."""
        if isinstance(entry, Accepted):
            self._accepted(entry, timestamp_ms)
            return
        self.dismiss(entry.request_id)
        if isinstance(entry, Ended):
            if entry.delivery is not None:
                self._running.pop(entry.delivery, None)
        else:
            self._started(entry, timestamp_ms)

    def dismiss(self, request_id: str) -> None:
        """Nothing is missing of it, or nothing can be told."""
        self._waiting.pop(request_id, None)
        self._lately[request_id] = None
        self._lately.move_to_end(request_id)
        while len(self._lately) > self._remembered:
            self._lately.popitem(last=False)

    def dismiss_started(self, delivery: Delivery) -> None:
        self._running.pop(delivery, None)

    def forget_before(self, unix_ms: int) -> None:
        """What is older is closed by definition: the records that could tell are about to be deleted."""
        for key in [key for key, each in self._waiting.items() if each.since_ms < unix_ms]:
            del self._waiting[key]
        for delivery in [key for key, each in self._running.items() if each.since_ms < unix_ms]:
            del self._running[delivery]

    def waiting(self) -> Iterable[Suspect]:
        return self._waiting.values()

    def running(self) -> Iterable[Suspect]:
        return self._running.values()

    def _accepted(self, entry: Accepted, timestamp_ms: int) -> None:
        if entry.request_id in self._lately or entry.request_id in self._waiting:
            return
        if len(self._waiting) >= self._followed:
            self.unfollowed += 1
            return
        self._waiting[entry.request_id] = Suspect(
            request_id=entry.request_id,
            function=entry.function,
            delivery=None,
            intake=entry.intake,
            since_ms=timestamp_ms,
        )

    def _started(self, entry: Started, timestamp_ms: int) -> None:
        self._running.setdefault(
            entry.delivery,
            Suspect(
                request_id=entry.request_id,
                function=entry.function,
                delivery=entry.delivery,
                executor=entry.executor,
                since_ms=timestamp_ms,
            ),
        )


def suspects(
    runs: OpenRuns,
    passed: Mapping[QueueKey, Passed],
    held: Collection[Intent],
    living: Collection[str],
    *,
    begun: Collection[Delivery],
) -> Iterator[Suspect]:
    """Who has neither a verdict nor a holder. The reading order is the proof: never ask earlier what may know more
    later.

    1. passed: the committed offsets and vectors; begun: what runs by the ledger as known by then. 2. held: the open
    intents, to the end of `inflight`. 3. runs: to the end of the ledger. 4. living: executors that beat and are not
    dead.

    An intent is durable before the commit that claims by it, and goes only after its verdict is durable (or because it
    claimed nothing). So what 1 shows as claimed or begun has its intent in 2 or its verdict in 3.
    """
    deliveries = {each.delivery for each in held}
    ids = {each.request_id for each in held}
    for each in runs.running():
        if each.delivery in begun and each.delivery not in deliveries and each.executor not in living:
            yield each
    queues = queues_of(passed)
    for each in runs.waiting():
        if each.request_id not in ids and any(passed_by(each, queues, passed)):
            yield each


def queues_of(passed: Iterable[QueueKey]) -> dict[str, dict[str, int]]:
    """Of each function its queue topics (one for each of its creations) and their partitions."""
    queues: dict[str, dict[str, int]] = {}
    for topic, partition in passed:
        topics = queues.setdefault(topic.removeprefix(QUEUE_PREFIX).rpartition(".")[0], {})
        topics[topic] = max(topics.get(topic, 0), partition + 1)
    return queues


def passed_by(
    suspect: Suspect, queues: Mapping[str, Mapping[str, int]], passed: Mapping[QueueKey, Passed]
) -> Iterator[QueueKey]:
    """Queue partitions that have an entry of this run below their committed offset."""
    for topic, partitions in queues.get(suspect.function, {}).items():
        queue = (topic, partition_of(suspect.request_id, partitions))
        if queue in passed and suspect.intake is not None and passed[queue].vector.has_passed_position(suspect.intake):
            yield queue


class Entry(NamedTuple):
    """An entry of a run in its queue partition, below the committed offset."""

    delivery: Delivery
    stamp: Stamp


def claimed_entry(suspect: Suspect, entries: Iterable[Entry], low: int) -> Delivery | None:
    """Which entry of its run was claimed. None: none for certain, it may have been dropped as a repeat of another.

    entries: all that are left of this run in one queue partition, in log order, and where that partition begins.
    """
    same = []
    for entry in entries:
        if entry.stamp.intake == suspect.intake:
            same.append(entry.delivery)
        elif not same:
            return None
    # A copy of it made by a dispatcher that began again: either was taken, neither can be any more.
    found = same[0] if same else None
    return found if found is not None and (low == 0 or found.offset - low >= WINDOW_RECORDS) else None


class Looks:
    """Two looks, some time apart, have to agree before anything is closed."""

    def __init__(self) -> None:
        self._first_sec: dict[tuple[str, Delivery | None], float] = {}

    def agreed(self, found: Collection[Suspect], now_sec: float) -> list[Suspect]:
        """found: by the look of now. Returns those that every look of the last AGREE_AFTER_SEC has found."""
        self._first_sec = {each.key: self._first_sec.get(each.key, now_sec) for each in found}
        return [each for each in found if now_sec - self._first_sec[each.key] >= AGREE_AFTER_SEC]
