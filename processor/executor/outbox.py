from __future__ import annotations

from processor.core.clock import Clock
from processor.core.failpoints import failpoint
from processor.executor.abstract import InstanceChanged, Line, LogLines, PoolEvent, RunEnded, RunProgressed, RunStarted
from processor.executor.instance import Instance, Run
from processor.executor.verdict import Verdict


class Outbox:
    """What happened and the executor's loop has not been told yet, in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: list[PoolEvent] = []

    def __bool__(self) -> bool:
        return bool(self._events)

    def take(self) -> list[PoolEvent]:
        events, self._events = self._events, []
        return events

    def lines(self, run: Run, lines: list[Line]) -> None:
        if lines:
            given = run.given
            self._events.append(LogLines(given.request_id, given.delivery, run.crew.code.name, lines))

    def progressed(self, run: Run, fraction: float, message: str) -> None:
        given, now_ms = run.given, self._clock.unix_ms()
        name = run.crew.code.name
        self._events.append(RunProgressed(given.request_id, given.delivery, name, fraction, message, now_ms))

    def started(self, run: Run, instance: Instance, at_ms: int) -> None:
        given = run.given
        name = run.crew.code.name
        self._events.append(RunStarted(given.request_id, given.delivery, name, instance.name, run.cold_start, at_ms))

    def ended(self, run: Run, verdict: Verdict, instance: Instance | None) -> None:
        failpoint("instance.result")
        given = run.given
        self._events.append(
            RunEnded(
                given.request_id,
                given.delivery,
                run.crew.code.name,
                verdict.code,
                verdict.error,
                verdict.result,
                "" if instance is None else instance.name,
                run.cold_start,
                run.started_at_ms,
                0.0 if run.started_at_sec is None else (self._clock.boottime() - run.started_at_sec) * 1000,
                None if instance is None else instance.peak_mb,
                run.told_lines if instance is None else instance.capture.count,
            )
        )

    def changed(self, instance: Instance, *, alive: bool) -> None:
        code = instance.crew.code
        self._events.append(InstanceChanged(instance.name, code.name, code.version, alive))
