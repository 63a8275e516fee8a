from __future__ import annotations

from dataclasses import replace

from processor.core.clock import Clock
from processor.core.failpoints import failpoint
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
#: Every topic takes a verdict of this size.
SMALL_BYTES = 32_768
#: Of what is left of an error's texts when even the cut ones do not fit.
SHORT_CHARS = 1_000
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
        failpoint("runs.started.before")
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
        failpoint("runs.started.after")

    def ended(self, record: Ended) -> None:
        """The verdict; the intent's tombstone follows once the verdict is durable."""
        failpoint("runs.ended.before")
        record = _bounded(record)
        assert record.delivery is not None
        tombstone = Entry(
            INFLIGHT.name,
            None,
            intent_key(self._executor, record.request_id, record.delivery),
            self._inflight_partition,
        )
        value = encode(record)
        self._books.write_in_bulk(
            RUNS.name,
            value,
            key=record.request_id.encode(),
            partition=partition_of(record.request_id, self._run_partitions),
            afterwards=tombstone,
            instead=None if len(value) <= SMALL_BYTES else encode(_shortest(record, len(value))),
        )
        failpoint("runs.ended.after")

    def unstarted(self, taken: Taken, code: StatusCode) -> None:
        """The verdict of a claimed run that is too old or cancelled: EXPIRED or CANCELLED."""
        failpoint("runs.unstarted.before")
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
        return _too_large(record, f"the result has {len(record.result):,} bytes; the limit is {MAX_EVENT_BYTES:,}")
    error = record.error
    if error is None or len(error.type) + len(error.message) + len(error.stack) <= MAX_TYPE_CHARS:
        return record
    return _cut(record, error, MAX_ERROR_CHARS)


def _shortest(record: Ended, size_bytes: int) -> Ended:
    """For a log that does not take what it should: the same verdict without its long texts, and never without one."""
    if record.result is not None:
        return _too_large(record, f"a record of {size_bytes:,} bytes, for its result, is more than the log takes")
    return record if record.error is None else _cut(record, record.error, SHORT_CHARS)


def _too_large(record: Ended, message: str) -> Ended:
    too_large = RunError(type="Function.ResponseSizeTooLarge", message=message)
    return replace(record, result=None, status_code=StatusCode.HANDLER_RAISED, error=too_large)


def _cut(record: Ended, error: RunError, max_chars: int) -> Ended:
    """The beginning of its message and the end of its traceback say most."""
    half = max_chars // 2
    cut = RunError(type=error.type[:MAX_TYPE_CHARS], message=error.message[:half], stack=error.stack[-half:])
    return replace(record, error=cut)
