from __future__ import annotations

from collections.abc import Collection

from processor.transport.abstract import TopicPartition

#: Brokers forget an offset that nobody has committed for long (offsets.retention.minutes: `doctor` asks for 90 days).
RENEW_EVERY_SEC = 86_400.0
#: Who takes over does not know how old the commit is that it found; where owners change all the time, each of them
#: would leave it to the next one for a day.
RENEW_FIRST_SEC = 600.0
#: With vectors of 128 intake partitions a request of so many is 200 KB.
MAX_AT_ONCE = 64


class Renewals:
    """When the offsets of the owned partitions are to be committed again, although nothing was claimed from them.

    Time is an argument, in seconds of any steady clock.
    """

    def __init__(self) -> None:
        self._due_sec: dict[TopicPartition, float] = {}
        #: Nothing is due before; it may be too early, never too late.
        self._next_sec = float("inf")

    def owned(self, partition: TopicPartition, now_sec: float) -> None:
        self._set(partition, now_sec + RENEW_FIRST_SEC)

    def committed(self, partition: TopicPartition, now_sec: float) -> None:
        self._set(partition, now_sec + RENEW_EVERY_SEC)

    def refused(self, partition: TopicPartition, now_sec: float) -> None:
        """In a rebalance, mostly."""
        self._set(partition, now_sec + RENEW_FIRST_SEC)

    def keep(self, owned: Collection[TopicPartition]) -> None:
        self._due_sec = {each: at_sec for each, at_sec in self._due_sec.items() if each in owned}

    def due(self, now_sec: float) -> list[TopicPartition]:
        """The most overdue first. Asked many times a second."""
        if now_sec < self._next_sec:
            return []
        self._next_sec = min(self._due_sec.values(), default=float("inf"))
        due = [each for each, at_sec in self._due_sec.items() if at_sec <= now_sec]
        return sorted(due, key=self._due_sec.__getitem__)[:MAX_AT_ONCE]

    def _set(self, partition: TopicPartition, at_sec: float) -> None:
        self._due_sec[partition] = at_sec
        self._next_sec = min(self._next_sec, at_sec)
