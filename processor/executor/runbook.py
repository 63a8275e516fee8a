from __future__ import annotations

from processor.core.clock import Clock
from processor.core.inflight import executor_partition, intent_key
from processor.core.ledger import Ended, Started, encode
from processor.core.request_id import partition_of
from processor.core.run import RunError, StatusCode
from processor.core.topics import INFLIGHT, RUNS
from processor.executor.books import Books, Entry
from processor.executor.claims import delivery_of
from processor.executor.partition import Taken


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
            delivery=delivery_of(taken),
            executor=self._executor,
            started_at_ms=self._clock.unix_ms(),
        )
        self._books.write(
            RUNS.name,
            encode(record),
            key=taken.record.key or b"",
            partition=partition_of(record.request_id, self._run_partitions),
        )

    def ended(self, record: Ended) -> None:
        """The verdict; the intent's tombstone follows once the verdict is durable."""
        assert record.delivery is not None
        tombstone = Entry(
            INFLIGHT.name,
            None,
            intent_key(self._executor, record.request_id, record.delivery),
            self._inflight_partition,
        )
        self._books.write(
            RUNS.name,
            encode(record),
            key=record.request_id.encode(),
            partition=partition_of(record.request_id, self._run_partitions),
            afterwards=tombstone,
        )

    def refused(self, taken: Taken, code: StatusCode, error: RunError) -> None:
        """The verdict of a claimed run that was never started."""
        self.ended(
            Ended(
                request_id=taken.request_id,
                function=taken.stamp.function,
                delivery=delivery_of(taken),
                status_code=code,
                error=error,
                executor=self._executor,
                ended_at_ms=self._clock.unix_ms(),
            )
        )
