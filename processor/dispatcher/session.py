from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from processor.core.claims import STAMP_HEADER, Order, Stamp
from processor.core.codec import encode_structured
from processor.core.failpoints import failpoint
from processor.core.ledger import Accepted, Ended, encode
from processor.core.rejected import Rejection
from processor.core.request_id import partition_of
from processor.core.topics import REJECTED, RUNS
from processor.dispatcher.routing import Rejected, Routed
from processor.transport.abstract import Headers, Producer, Record, RecordTooLarge

log = logging.getLogger(__name__)

_STRUCTURED = ("content-type", b"application/cloudevents+json; charset=UTF-8")


class DispatchSession:
    """One producer session and what it has sent so far.

    Each queue record names the intake order that this session sent to that queue partition before it. The executor
    that misses one of them takes nothing after it, so a failed append in the middle of a session cannot let later
    events pass and then count the earlier one as a repeat.
    """

    def __init__(self, producer: Producer, intake_id: str, run_partitions: int) -> None:
        self._producer = producer
        self._intake_id = intake_id
        self._run_partitions = run_partitions
        #: (queue topic, queue partition, intake partition) -> the last order sent there.
        self._sent: dict[tuple[str, int, int], Order] = {}

    def forget(self, intake_partitions: Sequence[int]) -> None:
        """These were assigned anew: another dispatcher may have sent from them in between, so we start over."""
        gone = frozenset(intake_partitions)
        self._sent = {lane: order for lane, order in self._sent.items() if lane[2] not in gone}

    def send(self, record: Record, routed: Routed) -> None:
        accepted = routed.accepted
        failpoint("dispatch.accepted.before")
        self._append_run(accepted)
        failpoint("dispatch.accepted.after")
        queue = routed.function.queue_topic
        partition = partition_of(accepted.request_id, routed.function.queue_partitions)
        lane = (queue, partition, record.partition)
        stamp = Stamp(
            routed.function.name,
            accepted.version,
            self._intake_id,
            accepted.intake,
            self._sent.get(lane),
            routed.event_format,
            accepted.accepted_at_ms,
        )
        value = record.value if routed.structured else encode_structured(routed.event)
        headers: Headers = (_STRUCTURED, (STAMP_HEADER, stamp.encode()))
        self._producer.append(queue, value, key=accepted.request_id.encode(), partition=partition, headers=headers)
        failpoint("dispatch.queue.after")
        self._sent[lane] = accepted.intake.order

    def reject(self, record: Record, rejected: Rejected) -> None:
        """The bytes as they came, and where from; then, when the run can be named, its verdict."""
        rejection = Rejection(
            raw=record.value or b"",
            reason=rejected.reason,
            origin=f"{record.topic}/{record.partition}/{record.offset}",
            headers=record.headers,
        )
        failpoint("dispatch.rejected.before")
        try:
            self._producer.append(REJECTED.name, record.value, key=record.key, headers=rejection.all_headers())
        except RecordTooLarge:
            # With the reason beside it, it weighs more than it did on intake: refused for ever if not cut.
            short = replace(rejection, headers=(), truncated=True)
            self._producer.append(REJECTED.name, short.value(), headers=short.all_headers())
        failpoint("dispatch.rejected.after")
        for entry in (rejected.accepted, rejected.verdict):
            if entry is not None:
                self._append_if_it_fits(entry)

    def _append_if_it_fits(self, entry: Accepted | Ended) -> None:
        try:
            self._append_run(entry)
        except RecordTooLarge:
            log.warning("no ledger record: it is too large", extra={"action": "reject", "request_id": entry.request_id})

    def flush(self, timeout_sec: float) -> None:
        """Raises AppendFailed: then this session is over."""
        failpoint("dispatch.flush.before")
        self._producer.flush(timeout_sec)
        failpoint("dispatch.flush.after")

    def close(self) -> None:
        self._producer.close()

    def _append_run(self, record: Accepted | Ended) -> None:
        self._producer.append(
            RUNS.name,
            encode(record),
            key=record.request_id.encode(),
            partition=partition_of(record.request_id, self._run_partitions),
        )
