"""What a batch changes, as values: both histories write the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from processor.recorder.batch import Batch, LogChunk
from processor.recorder.fold import DeliveryFold, RunFold
from processor.recorder.tallies import Fact, Tally, count, facts, waited

COUNTERS = ("void_verdicts", "undecodable", "missed")


class StoredRun(NamedTuple):
    """A row of `runs`, as far as the fold needs it."""

    row: int
    request_id: str
    function: str
    status: str
    first_seen_ms: int
    ended_at_ms: int | None
    delivery: str | None
    accepted: str | None
    started: str | None
    verdict: str | None
    void_verdicts: int
    older: str | None
    progress: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    #: Only those that have changed.
    runs: list[RunFold]
    #: The number of the run's row, and its lines.
    chunks: list[tuple[int, LogChunk]]
    tallies: Counter[Tally]
    counters: Mapping[str, int]


def runs_of(batch: Batch) -> set[str]:
    said = {each.progress.request_id for each in batch.progress}
    return said | {entry.record.request_id for entry in batch.ledger} | {chunk.request_id for chunk in batch.chunks}


def restored(stored: Iterable[StoredRun]) -> dict[str, RunFold]:
    return {each.request_id: _restored(each) for each in stored}


def project(batch: Batch, runs: dict[str, RunFold], numbers: Iterator[int]) -> Changes:
    """runs: those of the batch that are stored already; the others are added. numbers: of rows that nobody has."""
    for record, raw, timestamp_ms in batch.ledger:
        run = runs.get(record.request_id)
        if run is None:
            run = _new_run(runs, numbers, record.request_id, record.function, timestamp_ms)
        run.apply(record, raw)
    chunks = [(_run_of(chunk, runs, numbers).row, chunk) for chunk in batch.chunks]
    for progress, timestamp_ms in batch.progress:
        run = runs.get(progress.request_id)
        if run is None:
            run = _new_run(runs, numbers, progress.request_id, progress.function, timestamp_ms)
        run.say(progress)
    changed = [run for run in runs.values() if run.changed]
    return Changes(runs=changed, chunks=chunks, tallies=_tallies(changed), counters=_counters(batch, changed))


def _run_of(chunk: LogChunk, runs: dict[str, RunFold], numbers: Iterator[int]) -> RunFold:
    run = runs.get(chunk.request_id)
    if run is None:
        run = _new_run(runs, numbers, chunk.request_id, chunk.function, chunk.timestamp_ms)
    run.meet(chunk.delivery)
    return run


def _new_run(
    runs: dict[str, RunFold], numbers: Iterator[int], request_id: str, function: str, first_seen_ms: int
) -> RunFold:
    run = RunFold(row=next(numbers), request_id=request_id, function=function, first_seen_ms=first_seen_ms)
    runs[request_id] = run
    return run


def _tallies(changed: Iterable[RunFold]) -> Counter[Tally]:
    before: list[Fact] = []
    after: list[Fact] = []
    for run in changed:
        before += run.facts_stored
        after += facts(run.function, run.status.value, run.first_seen_ms, run.ended_at_ms)
        if not run.had_waited and (waited_ms := run.waited_ms) is not None:
            after.append(waited(run.function, run.first_seen_ms, waited_ms))
    return count(before, after)


def _counters(batch: Batch, changed: Iterable[RunFold]) -> Mapping[str, int]:
    void = sum(run.void for run in changed)
    counts = dict(zip(COUNTERS, (void, batch.undecodable, batch.missed), strict=True))
    return {name: value for name, value in counts.items() if value}


def _restored(stored: StoredRun) -> RunFold:
    run = RunFold(
        row=stored.row,
        request_id=stored.request_id,
        function=stored.function,
        first_seen_ms=stored.first_seen_ms,
    )
    shown = None
    if stored.delivery is not None:
        shown = DeliveryFold(stored.delivery, stored.started, stored.verdict, stored.void_verdicts)
    run.restore(stored.accepted, shown, stored.older)
    run.progress = stored.progress
    run.stored_ms = stored.first_seen_ms
    run.facts_stored = facts(stored.function, stored.status, stored.first_seen_ms, stored.ended_at_ms)
    run.had_waited = stored.accepted is not None and stored.started is not None
    return run
