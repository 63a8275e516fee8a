from __future__ import annotations

from processor.core import ledger
from processor.core.clock import SystemClock
from processor.core.ledger import DeliveryState, Ended, Started
from processor.recovery.procedure import Recovery
from processor.recovery.reading import OpenIntents
from processor.transport.abstract import Reader, TopicPartition
from tests.planted.patching import replace, replace_everywhere


def recovery_reads_inflight_first() -> None:
    """And never again: what it has read before the commits has to do."""
    read = Recovery._read_inflight
    before_the_commits: dict[Reader, OpenIntents] = {}

    def read_once(self: Recovery, reader: Reader, partitions: list[TopicPartition]) -> OpenIntents:
        if reader not in before_the_commits:
            before_the_commits[reader] = read(self, reader, self._everywhere())
        return before_the_commits[reader]

    replace(Recovery, "_read_inflight", read_once)


def last_verdict_wins() -> None:
    fold = ledger.fold

    def folded(state: DeliveryState, record: Started | Ended) -> DeliveryState:
        if isinstance(record, Ended) and state.verdict is not None:
            state = DeliveryState(started=state.started)
        return fold(state, record)

    replace_everywhere(ledger, "fold", folded)


def life_signs_on_the_wall_clock() -> None:
    replace(SystemClock, "boottime", _wall_clock_sec)


def _wall_clock_sec(self: SystemClock) -> float:
    return self.unix_ms() / 1000
