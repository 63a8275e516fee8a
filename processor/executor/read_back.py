from __future__ import annotations

from collections.abc import Collection, Mapping

from processor.core.clock import Clock
from processor.executor.dedup import WindowPolicy, window_start
from processor.transport.abstract import Bounds, Reader, TopicPartition, Transport

#: A question of `offsets_at` is about one time: partitions whose windows begin in the same minute share one.
_TOGETHER_MS = 60_000
_POLL_SEC = 0.1


def read_back_from(
    transport: Transport,
    clock: Clock,
    policy: WindowPolicy,
    passed: Mapping[TopicPartition, int],
    bounds: Mapping[TopicPartition, Bounds],
    deadline_sec: float,
) -> dict[TopicPartition, int]:
    """From where each partition is to be read so that its window is whole once `passed` is reached.

    passed: the committed offset of each. Time is the log's own, at the place where the last owner got to: our clock may
    be an hour ahead, and a partition with a backlog has its last ten minutes in the past. Blocks up to deadline_sec
    (CLOCK_BOOTTIME); raises TransportError.
    """
    long = [each for each, offset in passed.items() if offset - policy.at_least_records > bounds[each].low]
    spans = dict.fromkeys(passed, 0)
    if long:
        reader = transport.reader()
        try:
            newest_ms = _newest_ms(reader, clock, {each: passed[each] - 1 for each in long}, bounds, deadline_sec)
            spans |= _offsets_at(reader, clock, policy, newest_ms, deadline_sec)
        finally:
            reader.close()
    return {
        each: window_start(policy, low=bounds[each].low, committed=offset, offset_at_span=spans[each])
        for each, offset in passed.items()
    }


def left_sec(clock: Clock, deadline_sec: float) -> float:
    return max(deadline_sec - clock.boottime(), 0.1)


def _newest_ms(
    reader: Reader,
    clock: Clock,
    places: Mapping[TopicPartition, int],
    bounds: Mapping[TopicPartition, Bounds],
    deadline_sec: float,
) -> dict[TopicPartition, int]:
    """When the log took what stands at each place. Of those that are not told in time as much is read back as a window
    can hold: too much costs time, too little a second run.
    """
    found: dict[TopicPartition, int] = {}
    reader.assign(places)
    while len(found) < len(places) and clock.boottime() < deadline_sec and not _at_the_end(reader, bounds, places):
        for record in reader.poll(1_000, _POLL_SEC):
            found.setdefault(TopicPartition(record.topic, record.partition), record.timestamp_ms)
    return found


def _at_the_end(reader: Reader, bounds: Mapping[TopicPartition, Bounds], places: Collection[TopicPartition]) -> bool:
    positions = reader.positions()
    return all(positions.get(each, 0) >= bounds[each].high for each in places)


def _offsets_at(
    reader: Reader, clock: Clock, policy: WindowPolicy, newest_ms: Mapping[TopicPartition, int], deadline_sec: float
) -> dict[TopicPartition, int]:
    since_ms = {each: (at_ms - policy.span_ms) // _TOGETHER_MS * _TOGETHER_MS for each, at_ms in newest_ms.items()}
    offsets: dict[TopicPartition, int] = {}
    for at_ms in sorted(set(since_ms.values())):
        together = [each for each in since_ms if since_ms[each] == at_ms]
        offsets |= reader.offsets_at(together, max(at_ms, 0), left_sec(clock, deadline_sec))
    return offsets
