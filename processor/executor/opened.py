from __future__ import annotations

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.topics import QUEUES
from processor.transport.abstract import TopicPartition, Transport
from processor.transport.replay import read_to_end

READ_SEC = 3.0


class OffsetMissing(HeadraceError):
    """A queue partition had an owner, and its committed offset is gone."""

    remedy = "Decide from where to go on and set the offset of group `executor` for it; nothing is claimed until then."


def opened_partitions(transport: Transport, clock: Clock) -> set[bytes]:
    """Keys of the queue partitions that had an owner. Blocks. Raises TransportError."""
    reader = transport.reader()
    try:
        records = read_to_end(reader, [TopicPartition(QUEUES.name, 0)], clock, timeout_sec=READ_SEC)
        return {record.key for record in records if record.key is not None and record.value is not None}
    finally:
        reader.close()
