from __future__ import annotations

from collections.abc import Collection, Iterator

from processor.core.clock import Clock
from processor.transport.abstract import Reader, Record, TopicPartition, TransportUnavailable

#: Records per poll while reading back.
_BATCH = 2_000


def read_to_end(
    reader: Reader, partitions: Collection[TopicPartition], clock: Clock, *, timeout_sec: float
) -> Iterator[Record]:
    """Yields every record of the partitions that was there when the reading began, in order per partition.

    The end is asked for after nothing but before the first read, so whatever was appended before the call is seen:
    that is what recovery's reading order relies on. Blocks; raises TransportUnavailable when the end is not reached
    in time. The reader is left positioned at that end.
    """
    bounds = reader.bounds(partitions, timeout_sec)
    reader.assign({partition: bounds[partition].low for partition in partitions})
    yield from read_until(reader, {each: bounds[each].high for each in partitions}, clock, timeout_sec=timeout_sec)


def read_until(
    reader: Reader, ends: dict[TopicPartition, int], clock: Clock, *, timeout_sec: float
) -> Iterator[Record]:
    """Yields records from the reader's positions until each partition has reached its end offset."""
    deadline = clock.boottime() + timeout_sec
    while any(reader.positions().get(each, 0) < end for each, end in ends.items()):
        if clock.boottime() > deadline:
            raise TransportUnavailable(f"the end of {sorted({each.topic for each in ends})} was not reached in time")
        yield from reader.poll(_BATCH, 0.1)
