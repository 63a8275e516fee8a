"""Which entry of a queue a run is about that was claimed, as it seems, and never started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from processor.core.claims import STAMP_HEADER, Stamp
from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.reconciler import Entry, Passed, QueueKey, Suspect, claimed_entry, passed_by, queues_of
from processor.core.run import Delivery
from processor.transport.abstract import Reader, Record, TopicPartition
from processor.transport.replay import read_until

CALL_SEC = 10.0
#: A queue keeps some 60,000 records of up to a megabyte that are done with; it is read for suspects only.
READ_SEC = 1_800.0


def locate(
    reader: Reader, clock: Clock, found: Iterable[Suspect], passed: Mapping[QueueKey, Passed]
) -> Iterator[tuple[tuple[str, Delivery | None], Delivery]]:
    """Which delivery each of them is about; those of whom it cannot be told are left out. Reads queues, if it must."""
    in_queue: dict[QueueKey, list[Suspect]] = {}
    queues = queues_of(passed)
    for each in found:
        if each.delivery is not None:
            yield each.key, each.delivery
        for queue in passed_by(each, queues, passed):
            in_queue.setdefault(queue, []).append(each)
    for queue, theirs in in_queue.items():
        low, entries = _entries(reader, clock, TopicPartition(*queue), passed[queue].offset, theirs)
        for each in theirs:
            delivery = claimed_entry(each, entries.get(each.request_id, ()), low)
            if delivery is not None:
                yield each.key, delivery


def _entries(
    reader: Reader, clock: Clock, queue: TopicPartition, committed: int, wanted: Iterable[Suspect]
) -> tuple[int, dict[str, list[Entry]]]:
    """Where the partition begins, and its entries of these runs below the committed offset."""
    ids = {each.request_id.encode(): each.request_id for each in wanted}
    low = reader.bounds([queue], CALL_SEC)[queue].low
    reader.assign({queue: low})
    entries: dict[str, list[Entry]] = {}
    for record in read_until(reader, {queue: committed}, clock, timeout_sec=READ_SEC):
        stamp = _stamp(record) if record.key in ids and record.offset < committed else None
        if stamp is not None and record.key is not None:
            entry = Entry(Delivery(record.topic, record.partition, record.offset), stamp)
            entries.setdefault(ids[record.key], []).append(entry)
    return low, entries


def _stamp(record: Record) -> Stamp | None:
    for name, value in record.headers:
        if name == STAMP_HEADER:
            try:
                return Stamp.decode(value)
            except Undecodable:
                return None
    return None
