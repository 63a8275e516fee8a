from __future__ import annotations

from dataclasses import replace

from processor.core.clock import Clock
from processor.core.inflight import executor_partition, intent_key
from processor.core.ledger import Ended, Started, encode
from processor.core.request_id import partition_of
from processor.core.run import RunError, StatusCode
from processor.core.topics import INFLIGHT, MAX_EVENT_BYTES, RUNS
from processor.executor.books import Books, Entry
from processor.executor.partition import Taken

#: A verdict's error text and traceback are cut to this, and the name of its type to that.
MAX_ERROR_CHARS = 200_000
MAX_TYPE_CHARS = 1_000
#: Of what ends without a start.
_UNSTARTED = {
    StatusCode.EXPIRED: RunError(
        type="QueueAgeExceeded", message="it waited longer than its function's max_queue_age and was not started"
    ),
    StatusCode.CANCELLED: RunError(type="Cancelled", message="it was cancelled before it was started"),
}


class RunBook:
    """Writes `started`, `ended` and the tombstone of this executor's runs."""

    def __init__(self, *, books: Books, clock: Clock, executor: str, run_partitions: int, inflight_partitions: int):
        self._books = books
        self._clock = clock
        self._executor = executor
        self._run_partitions = run_partitions
        self._inflight_partition = executor_partition(executor, inflight_partitions)

    def started(self, taken: Taken) -> None:
        record = Started(
            request_id=taken.request_id,
            function=taken.stamp.function,
            delivery=taken.delivery,
            executor=self._executor,
            started_at_ms=self._clock.unix_ms(),
        )
        self._books.write_in_bulk(
            RUNS.name,
            encode(record),
            key=taken.record.key or b"",
            partition=partition_of(record.request_id, self._run_partitions),
        )

    def ended(self, record: Ended) -> None:
        """The verdict; the intent's tombstone follows once the verdict is durable."""
        record = _bounded(record)
        assert record.delivery is not None
        tombstone = Entry(
            INFLIGHT.name,
            None,
            intent_key(self._executor, record.request_id, record.delivery),
            self._inflight_partition,
        )
        self._books.write_in_bulk(
            RUNS.name,
            encode(record),
            key=record.request_id.encode(),
            partition=partition_of(record.request_id, self._run_partitions),
            afterwards=tombstone,
        )

    def unstarted(self, taken: Taken, code: StatusCode) -> None:
        """The verdict of a claimed run that is too old or cancelled: EXPIRED or CANCELLED."""
        self.refused(taken, code, _UNSTARTED[code])

    def refused(self, taken: Taken, code: StatusCode, error: RunError) -> None:
        """The verdict of a claimed run that was never started."""
        self.ended(
            Ended(
                request_id=taken.request_id,
                function=taken.stamp.function,
                delivery=taken.delivery,
                status_code=code,
                error=error,
                executor=self._executor,
                ended_at_ms=self._clock.unix_ms(),
            )
        )


def _bounded(record: Ended) -> Ended:
    """A verdict always fits into its record: an oversized result is the handler's failure, a long text is cut."""
    if record.result is not None and len(record.result) > MAX_EVENT_BYTES:
        message = f"the result has {len(record.result):,} bytes; the limit is {MAX_EVENT_BYTES:,}"
        too_large = RunError(type="Function.ResponseSizeTooLarge", message=message)
        return replace(record, result=None, status_code=StatusCode.HANDLER_RAISED, error=too_large)
    error = record.error
    if error is None or len(error.type) + len(error.message) + len(error.stack) <= MAX_TYPE_CHARS:
        return record
    half = MAX_ERROR_CHARS // 2
    cut = RunError(type=error.type[:MAX_TYPE_CHARS], message=error.message[:half], stack=error.stack[-half:])
    return replace(record, error=cut)
