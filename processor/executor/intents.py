from __future__ import annotations

from processor.core.inflight import Intent, executor_partition
from processor.core.topics import INFLIGHT
from processor.executor.books import Books
from processor.executor.partition import Plan


class Intents:
    """Writes the open claims of one executor to `inflight`, and takes them back. Durable with the next urgent flush."""

    def __init__(self, *, books: Books, executor: str, inflight_partitions: int) -> None:
        self._books = books
        self._executor = executor
        self._partition = executor_partition(executor, inflight_partitions)

    def write(self, plan: Plan, batch: int, *, abandoned: bool = False) -> None:
        for intent in self._of(plan, batch, abandoned=abandoned):
            self._books.write(INFLIGHT.name, intent.encode(), key=intent.key, partition=self._partition)

    def drop(self, plan: Plan, batch: int) -> None:
        for intent in self._of(plan, batch):
            self._books.write(INFLIGHT.name, None, key=intent.key, partition=self._partition)

    def _of(self, plan: Plan, batch: int, *, abandoned: bool = False) -> list[Intent]:
        return [
            Intent(
                executor=self._executor,
                request_id=taken.request_id,
                function=taken.stamp.function,
                delivery=taken.delivery,
                batch=batch,
                abandoned=abandoned,
            )
            for taken in plan.taken
        ]
