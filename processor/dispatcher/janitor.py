from __future__ import annotations

from collections.abc import Mapping

from processor.core.loop import LoopService
from processor.core.topics import INTAKE, QUEUE_PREFIX
from processor.transport.abstract import Committed, TopicPartition, Transport

DISPATCHERS = "dispatcher"
EXECUTORS = "executor"
CALL_SEC = 30.0
#: Disk is what is at stake, not correctness: a minute's records are nothing.
SWEEP_EVERY_SEC = 60.0
#: What an executor may read back to rebuild its window (DESIGN 5.3b: at most 50,000 records), and some more.
KEPT_QUEUE_RECORDS = 60_000
#: A dispatcher reads nothing back; some are kept for people who want to look.
KEPT_INTAKE_RECORDS = 10_000


def sweep(transport: Transport) -> dict[TopicPartition, int]:
    """Deletes what is consumed and no longer needed from intake and queues; returns the low bounds it asked for.

    Nothing unread is ever deleted: a partition without a committed offset is left alone. Blocks; raises TransportError.
    """
    admin = transport.admin()
    topics = admin.topics(CALL_SEC)
    intake = [TopicPartition(INTAKE.name, number) for number in range(topics.get(INTAKE.name, 0))]
    queues = [
        TopicPartition(topic, number)
        for topic, count in topics.items()
        if topic.startswith(QUEUE_PREFIX)
        for number in range(count)
    ]
    below = _below(admin.committed(DISPATCHERS, intake, CALL_SEC), KEPT_INTAKE_RECORDS)
    if queues:
        below |= _below(admin.committed(EXECUTORS, queues, CALL_SEC), KEPT_QUEUE_RECORDS)
    if below:
        admin.delete_records(below, CALL_SEC)
    return below


def _below(committed: Mapping[TopicPartition, Committed | None], kept: int) -> dict[TopicPartition, int]:
    return {each: at.offset - kept for each, at in committed.items() if at is not None and at.offset > kept}


class JanitorService(LoopService):
    """Sweeps now and then, beside a dispatcher. Any number may do it at once."""

    def __init__(self, *, transport: Transport) -> None:
        super().__init__("janitor")
        self._transport = transport

    def serve(self) -> None:
        while not self.stopping.wait(SWEEP_EVERY_SEC):
            sweep(self._transport)
