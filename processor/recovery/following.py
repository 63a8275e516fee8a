from __future__ import annotations

from collections.abc import Callable, Iterator

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.transport.abstract import Record, Transport, TransportUnavailable

CALL_SEC = 10.0
POLL_SEC = 0.5
#: Before the end of the topic something is there to be read; longer than this, and nobody gives it to us.
QUIET_SEC = 60.0
#: A week of ledger has to be read some time, beside a dispatcher that has work to do.
BATCH_RECORDS = 1_000
PAUSE_SEC = 0.05


class Stopped(HeadraceError):
    """The reading was given up, since its service was asked to stop."""


class Follower:
    """Reads all partitions of a topic bit by bit, each record once, at an easy pace. Used by one thread."""

    def __init__(self, transport: Transport, clock: Clock, topic: str, pause: Callable[[float], bool]) -> None:
        """pause: waits for that many seconds; True: give up."""
        self._clock = clock
        self._pause = pause
        self._reader = transport.reader(patient=True)
        try:
            self._partitions = self._reader.partitions(topic, CALL_SEC)
            bounds = self._reader.bounds(self._partitions, CALL_SEC)
            self._reader.assign({partition: bounds[partition].low for partition in self._partitions})
        except BaseException:
            self._reader.close()
            raise

    def catch_up(self) -> Iterator[Record]:
        """Yields what came since the last time, up to an end that is asked for now; it may be some records more.

        Blocks. Raises Stopped; TransportUnavailable when the end is not reached.
        """
        ends = {each: bound.high for each, bound in self._reader.bounds(self._partitions, CALL_SEC).items()}
        quiet_since_sec = self._clock.boottime()
        while any(self._reader.positions().get(each, 0) < end for each, end in ends.items()):
            records = self._reader.poll(BATCH_RECORDS, POLL_SEC)
            yield from records
            if records:
                quiet_since_sec = self._clock.boottime()
            elif self._clock.boottime() - quiet_since_sec > QUIET_SEC:
                raise TransportUnavailable(f"the end of {self._partitions[0].topic} was not reached in time")
            if self._pause(PAUSE_SEC if len(records) == BATCH_RECORDS else 0.0):
                raise Stopped

    def close(self) -> None:
        self._reader.close()
