"""Everything that can happen next, named. A fault is a step too; it uses up a budget."""

from __future__ import annotations

from collections.abc import Iterator

from processor.core.claims import Claimed, settle
from processor.core.recovery import Findings, Remedy, decide
from tests.unit.protocol.looks import look_steps
from tests.unit.protocol.queue_logs import Queued, QueueLog
from tests.unit.protocol.world import (
    Claim,
    Executor,
    Guard,
    OpenIntent,
    Phase,
    Place,
    RecoveryRead,
    RunRecord,
    Step,
    Tag,
    World,
    claimed_by_other,
    commit_tag,
    delivery_state,
    has_passed,
    intent,
    mark_counts,
    takes,
)

OK, LOST = "200", "500"
#: The ledger's name for recovery.
RECOVERY = -1


class Protocol:
    """The rules, with or without some of their guards."""

    def __init__(self, log: QueueLog, dropped: frozenset[Guard] = frozenset()) -> None:
        self._log = log
        self._dropped = dropped

    def steps(self, world: World) -> Iterator[Step]:
        for e, executor in enumerate(world.executors):
            if executor.alive and not executor.paused:
                yield from self._group_steps(world, e, executor)
                yield from self._claim_steps(world, e, executor)
                yield from _run_steps(world, e)
            yield from _faults(world, e, executor)
            yield from _death(world, e, executor)
        if not any(each.alive and not each.retired for each in world.executors):
            yield Step("a new executor begins", world._replace(executors=(*world.executors, Executor())))
        yield from self._coordinator_steps(world)
        yield from self._marks(world)
        yield from self._recovery_steps(world)
        yield from look_steps(world, self._log, in_order=self._keeps(Guard.LOOK_ORDER))

    def _keeps(self, guard: Guard) -> bool:
        return guard not in self._dropped

    # The group

    def _group_steps(self, world: World, e: int, executor: Executor) -> Iterator[Step]:
        if executor.retired or executor.phase not in (Phase.IDLE, Phase.REFUSED):
            return  # no claim spans a poll
        executor = executor._replace(phase=Phase.IDLE)
        budget = world.budget
        if executor.place is not Place.IN:
            # on_lost: what was buffered belongs to somebody else
            fresh = executor._replace(place=Place.IN, at=None, window=frozenset())
            yield Step(f"executor {e} polls and joins the group", _with(world, e, fresh))
        elif world.owner == e and budget.revocations:
            kept = executor if not self._keeps(Guard.BUFFER_DROP) else executor._replace(at=None, window=frozenset())
            spent = world._replace(owner=None, budget=budget._replace(revocations=budget.revocations - 1))
            yield Step(f"the partition is revoked from executor {e}", _with(spent, e, kept), fault=True)
        elif world.owner is None and e not in world.dead:
            yield Step(f"executor {e} is assigned the partition", self._assigned(world, e, executor))
        if executor.place is Place.IN and budget.leaves:
            gone = executor._replace(place=Place.LEFT)
            if self._keeps(Guard.QUIET_AFTER_LEAVING):
                gone = gone._replace(at=None, window=frozenset())
            spent = world._replace(
                owner=None if world.owner == e else world.owner, budget=budget._replace(leaves=budget.leaves - 1)
            )
            yield Step(f"executor {e} leaves the group", _with(spent, e, gone), fault=True)

    def _assigned(self, world: World, e: int, executor: Executor) -> World:
        offset, tag = world.committed or (0, None)
        highest = tag.highest if tag is not None and self._keeps(Guard.VECTOR) else None
        passed = [each for each in self._log[:offset] if has_passed(highest, each)]
        window = frozenset(each.request_id for each in passed) if self._keeps(Guard.WINDOW) else frozenset()
        taken = executor._replace(at=offset, highest=highest, window=window)
        return _with(world._replace(owner=e), e, taken)

    def _coordinator_steps(self, world: World) -> Iterator[Step]:
        for e, claim in world.late:
            rest = world._replace(late=world.late - {(e, claim)})
            # After its leave, which travels behind it, and after its eviction it is refused.
            if world.executors[e].place is Place.IN or not self._keeps(Guard.FENCE):
                yield Step(f"the late commit of executor {e} lands", _committed(rest, claim))
            else:
                yield Step(f"the late commit of executor {e} is refused", rest)

    # The claim

    def _claim_steps(self, world: World, e: int, executor: Executor) -> Iterator[Step]:
        match executor.phase:
            case Phase.IDLE:
                yield from self._intent(world, e, executor)
            case Phase.INTENT:
                yield from self._commit(world, e, executor)
            case Phase.UNKNOWN:
                yield from self._settle(world, e, executor)
            case Phase.COMMITTED:
                record = RunRecord("started", e, _taken(executor))
                written = world._replace(runs=(*world.runs, record))
                yield Step(f"executor {e} writes `started`", _with(written, e, executor._replace(phase=Phase.STARTED)))
            case Phase.STARTED:
                yield self._check(world, e, executor)
            case Phase.CHECKED:
                yield self._start(world, e, executor)

    def _intent(self, world: World, e: int, executor: Executor) -> Iterator[Step]:
        if world.budget.renewals and executor.at is not None:
            yield self._renewal(world, e, executor)
        claim = self._plan(e, executor)
        if claim is None:
            return
        held = executor._replace(phase=Phase.INTENT, claim=claim, batch=executor.batch + 1)
        if claim.taken is None:
            yield Step(f"executor {e} passes repeats", _with(world, e, held))
        else:
            opened = world._replace(intents=world.intents | {OpenIntent(e, claim.taken, claim.tag.batch)})
            yield Step(f"executor {e} writes its intent for offset {claim.taken}", _with(opened, e, held))

    def _renewal(self, world: World, e: int, executor: Executor) -> Step:
        assert executor.at is not None
        again = Claim(None, executor.at, Tag(e, executor.batch, executor.highest))
        held = executor._replace(phase=Phase.INTENT, claim=again, batch=executor.batch + 1)
        spent = world._replace(budget=world.budget._replace(renewals=world.budget.renewals - 1))
        return Step(f"executor {e} commits again what it had", _with(spent, e, held))

    def _plan(self, e: int, executor: Executor) -> Claim | None:
        """Passes repeats up to the first record to be taken, or to the end of the buffer."""
        if executor.at is None or executor.at >= len(self._log):
            return None
        highest = executor.highest
        for offset in range(executor.at, len(self._log)):
            record = self._log[offset]
            if self._takes(highest, record):
                highest = record.intake
                if record.request_id not in executor.window:
                    return Claim(offset, offset + 1, Tag(e, executor.batch, highest))
        return Claim(None, len(self._log), Tag(e, executor.batch, highest))

    def _takes(self, highest: int | None, record: Queued) -> bool:
        if not self._keeps(Guard.PREVIOUS_OFFSET):
            record = record._replace(previous=None)
        return takes(highest, record)

    def _commit(self, world: World, e: int, executor: Executor) -> Iterator[Step]:
        assert executor.claim is not None
        claim, budget = executor.claim, world.budget
        accepted = self._accepts(world, executor)
        if accepted:
            yield Step(f"the commit of executor {e} is applied", self._ours(_committed(world, claim), e, executor))
        else:
            yield Step(f"the commit of executor {e} is refused", self._not_ours(world, e, executor))
        if budget.unknown_commits:
            spent = world._replace(budget=budget._replace(unknown_commits=budget.unknown_commits - 1))
            waiting = _with(spent, e, executor._replace(phase=Phase.UNKNOWN))
            if accepted:
                yield Step(f"the commit of executor {e} is applied, unknown to it", _committed(waiting, claim), True)
            yield Step(f"the commit of executor {e} is lost, unknown to it", waiting, True)
            late = waiting._replace(late=waiting.late | {(e, claim)})
            yield Step(f"the commit of executor {e} is late, unknown to it", late, True)

    def _accepts(self, world: World, executor: Executor) -> bool:
        """Membership, not ownership. Who has left is no member, but an empty group takes its commit."""
        if not self._keeps(Guard.FENCE) or executor.place is Place.IN:
            return True
        empty = all(each.place is not Place.IN for each in world.executors)
        return executor.place is Place.LEFT and empty

    def _settle(self, world: World, e: int, executor: Executor) -> Iterator[Step]:
        assert executor.claim is not None
        offset, tag = world.committed or (0, None)
        written = commit_tag(executor.claim.tag).encode()
        found = None if tag is None else commit_tag(tag).encode()
        ours = settle(written, found) is Claimed.OURS
        if not self._keeps(Guard.METADATA_CHECK):
            ours = offset >= executor.claim.next_offset
        if ours:
            yield Step(f"executor {e} reads its own commit back", self._ours(world, e, executor))
        else:
            yield Step(f"executor {e} cannot tell, leaves and claims no more", _abandoned(world, e, executor))

    def _ours(self, world: World, e: int, executor: Executor) -> World:
        claim = executor.claim
        assert claim is not None
        window = executor.window
        if claim.taken is not None:
            window |= {self._log[claim.taken].request_id}
        phase = Phase.IDLE if claim.taken is None else Phase.COMMITTED
        moved = executor._replace(
            at=claim.next_offset, highest=claim.tag.highest, window=window, phase=phase,
            claim=None if claim.taken is None else claim,
        )  # fmt: skip
        return _with(world, e, moved)

    def _not_ours(self, world: World, e: int, executor: Executor) -> World:
        claim = executor.claim
        assert claim is not None
        kept = frozenset(each for each in world.intents if (each.executor, each.offset) != (e, claim.taken))
        # The buffer stays: the next poll says whether it is still ours.
        return _with(world._replace(intents=kept), e, executor._replace(phase=Phase.REFUSED, claim=None))

    def _check(self, world: World, e: int, executor: Executor) -> Step:
        if not (executor.gap and self._keeps(Guard.HAND_OVER_CHECK)):
            return Step(f"executor {e} checks its life signs", _checked(world, e, executor))
        if not executor.beat:
            beaten = world._replace(beaten=world.beaten | (world.judged & {e}))
            return Step(f"a heartbeat of executor {e} lands", _with(beaten, e, executor._replace(beat=True)))
        if e in world.marked:
            return Step(f"executor {e} reads that it is dead, and ends", _killed(world, e))
        return Step(f"executor {e} reads that it is not dead", _checked(world, e, executor))

    def _start(self, world: World, e: int, executor: Executor) -> Step:
        if executor.gap and self._keeps(Guard.HAND_OVER_CHECK):
            return Step(f"executor {e} has to check again", _with(world, e, executor._replace(phase=Phase.STARTED)))
        offset = _taken(executor)
        running = world._replace(running=world.running | {(e, offset)}, starts=(*world.starts, offset))
        idle = executor._replace(phase=Phase.IDLE, claim=None)
        return Step(f"executor {e} starts offset {offset}", _with(running, e, idle))

    # Recovery

    def _marks(self, world: World) -> Iterator[Step]:
        for e in world.judged:
            counts = mark_counts(beaten=e in world.beaten) or not self._keeps(Guard.MARK_ORDER)
            marked = world._replace(
                judged=world.judged - {e},
                beaten=world.beaten - {e},
                marked=world.marked | {e},
                dead=world.dead | {e} if counts else world.dead,
            )
            yield Step(f"executor {e} is marked dead" + ("" if counts else ", in vain"), marked)

    def _recovery_steps(self, world: World) -> Iterator[Step]:
        reading = world.recovery
        if reading is None:
            for opened in world.intents:
                if opened.executor in world.dead or opened.abandoned:
                    yield Step(f"recovery takes up {_name(opened)}", self._first_read(world, opened))
            return
        if self._keeps(Guard.READ_ORDER):
            if reading.claimed_by_other is None:
                found = reading._replace(claimed_by_other=claimed_by_other(world, reading.intent))
                yield Step("recovery reads the intents", world._replace(recovery=found))
                return
        elif reading.committed is None:
            found = reading._replace(committed=world.committed or (-1, None))
            yield Step("recovery reads the commit", world._replace(recovery=found))
            return
        yield self._decide(world, reading)

    def _first_read(self, world: World, opened: OpenIntent) -> World:
        if self._keeps(Guard.READ_ORDER):
            return world._replace(recovery=RecoveryRead(opened, committed=world.committed or (-1, None)))
        return world._replace(recovery=RecoveryRead(opened, claimed_by_other=claimed_by_other(world, opened)))

    def _decide(self, world: World, reading: RecoveryRead) -> Step:
        """The last read, of the ledger, and what follows from all three."""
        opened = reading.intent
        assert reading.committed is not None
        assert reading.claimed_by_other is not None
        offset, tag = reading.committed
        remedy = decide(
            intent(opened),
            Findings(
                committed_offset=None if offset < 0 else offset,
                committed_tag=None if tag is None else commit_tag(tag),
                claimed_by_other=reading.claimed_by_other,
                delivery=delivery_state(world.runs, opened.offset),
            ),
        )
        after = world._replace(recovery=None)
        if remedy is Remedy.WAIT:
            return Step(f"recovery leaves {_name(opened)} for later", after)
        after = after._replace(intents=after.intents - {opened})
        if remedy is Remedy.TOMBSTONE:
            return Step(f"recovery removes {_name(opened)}", after)
        lost = RunRecord(LOST, RECOVERY, opened.offset)
        return Step(f"recovery closes {_name(opened)}: InstanceLost", after._replace(runs=(*after.runs, lost)))


def _run_steps(world: World, e: int) -> Iterator[Step]:
    for executor, offset in world.running:
        if executor == e:
            rest = world._replace(running=world.running - {(e, offset)}, ending=world.ending | {(e, offset)})
            yield Step(f"the run of offset {offset} ends", rest)
    for executor, offset in world.ending:
        if executor == e:
            written = world._replace(
                ending=world.ending - {(e, offset)},
                runs=(*world.runs, RunRecord(OK, e, offset)),
                intents=frozenset(each for each in world.intents if (each.executor, each.offset) != (e, offset)),
            )
            yield Step(f"executor {e} writes the verdict of offset {offset}", written)


def _faults(world: World, e: int, executor: Executor) -> Iterator[Step]:
    budget = world.budget
    if executor.alive and budget.crashes:
        spent = world._replace(budget=budget._replace(crashes=budget.crashes - 1))
        yield Step(f"executor {e} is killed", _killed(spent, e), fault=True)
    if executor.alive and not executor.paused and budget.pauses:
        spent = world._replace(budget=budget._replace(pauses=budget.pauses - 1))
        yield Step(f"executor {e} is stopped", _with(spent, e, executor._replace(paused=True)), fault=True)
    if executor.place is Place.IN and (budget.evictions or not executor.alive):
        # The dead are always evicted in the end; the living only by bad luck.
        left = world if not executor.alive else world._replace(budget=budget._replace(evictions=budget.evictions - 1))
        left = left._replace(owner=None if world.owner == e else world.owner)
        evicted = executor._replace(place=Place.EVICTED)
        yield Step(f"executor {e} is evicted, unknown to it", _with(left, e, evicted), fault=executor.alive)


def _death(world: World, e: int, executor: Executor) -> Iterator[Step]:
    if executor.paused:
        if not executor.guarded:
            killed = world._replace(
                running=frozenset(each for each in world.running if each[0] != e),
                ending=world.ending | {each for each in world.running if each[0] == e},
            )
            yield Step(
                f"the guard of executor {e} kills its instances", _with(killed, e, executor._replace(guarded=True))
            )
        resumed = executor._replace(paused=False, guarded=False, gap=executor.gap or executor.guarded, beat=False)
        yield Step(f"executor {e} goes on", _with(world, e, resumed))
    silent = not executor.alive or (executor.paused and executor.guarded)
    if silent and e not in world.dead | world.judged:
        yield Step(f"recovery reads that executor {e} is silent", world._replace(judged=world.judged | {e}))
    if executor.alive and executor.retired and not any(each == e for each, _ in world.running | world.ending):
        yield Step(f"executor {e} stops", _killed(world, e))
    if executor.alive and not executor.paused and e in world.marked and executor.phase is Phase.IDLE:
        yield Step(f"executor {e} learns that it is dead, and ends", _killed(world, e))


def _killed(world: World, e: int) -> World:
    """Its guard takes the instances with it; what it had not written, nobody will."""
    gone = world.executors[e]._replace(
        alive=False, paused=False, at=None, window=frozenset(), phase=Phase.IDLE, claim=None
    )
    rest = world._replace(
        running=frozenset(each for each in world.running if each[0] != e),
        ending=frozenset(each for each in world.ending if each[0] != e),
    )
    return _with(rest, e, gone)


def _abandoned(world: World, e: int, executor: Executor) -> World:
    """Its late commit, sent before the leave, lands before it or never."""
    assert executor.claim is not None
    gone = executor._replace(place=Place.LEFT, at=None, window=frozenset(), phase=Phase.IDLE, claim=None, retired=True)
    rest = world._replace(
        owner=None if world.owner == e else world.owner,
        late=frozenset(each for each in world.late if each[0] != e),
        intents=frozenset(
            each._replace(abandoned=True) if (each.executor, each.offset) == (e, executor.claim.taken) else each
            for each in world.intents
        ),
    )
    return _with(rest, e, gone)


def _checked(world: World, e: int, executor: Executor) -> World:
    return _with(world, e, executor._replace(phase=Phase.CHECKED, gap=False, beat=False))


def _committed(world: World, claim: Claim) -> World:
    """The coordinator takes what it is given, also if it lies behind what it had."""
    return world._replace(committed=(claim.next_offset, claim.tag))


def _taken(executor: Executor) -> int:
    assert executor.claim is not None
    assert executor.claim.taken is not None
    return executor.claim.taken


def _with(world: World, e: int, executor: Executor) -> World:
    return world._replace(executors=(*world.executors[:e], executor, *world.executors[e + 1 :]))


def _name(opened: OpenIntent) -> str:
    return f"executor {opened.executor}'s intent for offset {opened.offset}"
