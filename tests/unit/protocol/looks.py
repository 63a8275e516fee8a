"""The reconciler: three reads, each a step, and what the product makes of them. It must never find anything."""

from __future__ import annotations

from collections.abc import Iterator

from processor.core.ledger import Accepted, Ended, LedgerRecord, Position, Started
from processor.core.reconciler import OpenRuns, Passed, suspects
from processor.core.run import StatusCode
from tests.unit.protocol.queue_logs import Queued, QueueLog
from tests.unit.protocol.world import Look, RunRecord, Step, World, delivery, delivery_state, intent, vector

QUEUE = ("queue.f.1", 0)


def look_steps(world: World, log: QueueLog, *, in_order: bool) -> Iterator[Step]:
    look, budget = world.look, world.budget
    if look is None:
        if budget.looks and (world.committed is not None or not in_order):
            spent = world._replace(budget=budget._replace(looks=budget.looks - 1))
            yield _commits_read(spent, Look()) if in_order else _intents_read(spent, Look())
    elif look.committed is None:
        if world.committed is not None:
            yield _commits_read(world, look)
    elif look.intents is None:
        yield _intents_read(world, look)
    else:
        found = tuple(_found(world, look, log))
        yield Step("the reconciler reads the ledger", world._replace(look=None, found=world.found + found))


def _commits_read(world: World, look: Look) -> Step:
    started = {each.offset for each in world.runs if each.kind == "started"}
    begun = frozenset(each for each in started if delivery_state(world.runs, each).verdict is None)
    read = look._replace(committed=world.committed, begun=begun)
    return Step("the reconciler reads the commit", world._replace(look=read))


def _intents_read(world: World, look: Look) -> Step:
    return Step("the reconciler reads the intents", world._replace(look=look._replace(intents=world.intents)))


def _found(world: World, look: Look, log: QueueLog) -> Iterator[str]:
    assert look.committed is not None
    assert look.intents is not None
    runs = OpenRuns()
    for queued in log:
        runs.observe(_accepted(queued), 0)
    for written in world.runs:
        runs.observe(_entry(written, log), 0)
    offset, tag = look.committed
    passed = {QUEUE: Passed(offset, vector(None if tag is None else tag.highest))}
    held = [intent(each, log[each.offset].request_id) for each in look.intents]
    living = {str(e) for e in range(len(world.executors)) if e not in world.dead}
    begun = {delivery(each) for each in look.begun}
    for each in suspects(runs, passed, held, living, begun=begun):
        yield each.request_id


def _accepted(queued: Queued) -> Accepted:
    return Accepted(
        request_id=queued.request_id,
        function="f",
        version="v",
        trigger="http",
        source="s",
        event_id=queued.request_id,
        subject=None,
        accepted_at_ms=0,
        intake=Position(0, 0, queued.intake),
    )


def _entry(written: RunRecord, log: QueueLog) -> LedgerRecord:
    run, at, who = log[written.offset].request_id, delivery(written.offset), str(written.executor)
    if written.kind == "started":
        return Started(request_id=run, function="f", delivery=at, executor=who, started_at_ms=0)
    code = StatusCode(int(written.kind))
    return Ended(request_id=run, function="f", delivery=at, executor=who, status_code=code, ended_at_ms=0)
