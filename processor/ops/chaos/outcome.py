"""What a run of chaos has shown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from processor.ops.audit.invariants import KEPT_EXAMPLES, Invariant, Report
from processor.ops.chaos.inject import Happened
from processor.ops.chaos.plan import BROKER, EXECUTORS, SERVER, TRIGGERS, Fault, Plan
from processor.ops.chaos.proxy import Network
from processor.ops.chaos.timeline import Timeline, lost_and_doubled, missing_ticks

#: Of the lines that roles log: how often each such thing happened.
LOGGED = {
    "commit_unknown": "unknown_commits",
    "commit_refused": "refused_commits",
    "commit_undecided": "undecided_commits",
    "handover_wait": "handovers_put_off",
    "own_mark_found": "own_marks_found",
    "declare_dead": "declared_dead",
    "executor_retired": "executors_retired",
    "isolated": "executors_isolated",
    "guard_lost": "guards_lost",
    "dispatch_repeat": "dispatch_sessions_lost",
    "books_repeat": "book_sessions_lost",
    "log_session": "log_sessions_lost",
    "assign_retry": "assignments_given_back",
    "lines_lost": "line_batches_lost",
    "partition_stopped": "partitions_stopped",
    "incarnation_failed": "incarnations_failed",
    "own_repeat_dropped": "dispatcher_repeats_dropped",
    "upstream_repeat_dropped": "upstream_repeats_dropped",
    "instance_given_up": "instances_given_up",
    "reconciler_found": "reconciler_found",
}
#: What has to happen often over many runs, or the promises were not put to the test.
WANTED = (
    "unknown_answers",
    "unknown_commits",
    "refused_commits",
    "undecided_commits",
    "commit_answers_lost",
    "append_answers_lost",
    "dispatched_again",
    "dispatcher_repeats_dropped",
    "accepted_again",
    "upstream_repeats_dropped",
    "void_intents",
    "late_verdicts",
    "instance_lost",
    "declared_dead",
    "own_marks_found",
    "guards_lost",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the run itself has noted."""

    plan: Plan
    happened: Sequence[Happened]
    #: Names of all files that were dropped.
    dropped: Sequence[str]
    #: Unix seconds.
    begun_sec: int
    ended_sec: int
    #: Of a client after everything was healed.
    acknowledged_after: int
    given_up: int
    #: What it still waited for when the time was over.
    not_drained: Sequence[str]
    left_processes: Sequence[str]
    left_folders: Sequence[str]
    ended_by_themselves: Sequence[str]
    failed_starts: Sequence[str]
    lost_answers: Mapping[Network, int]
    #: `action` of the log lines.
    actions: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    plan: Plan
    happened: Sequence[Happened]
    invariants: Sequence[Invariant]
    sometimes: Mapping[str, int]
    near_a_fault: int
    #: Why the run proves nothing.
    boring: Sequence[str]
    notes: Sequence[str] = field(default=())

    @property
    def ok(self) -> bool:
        return not self.boring and not any(each.broken for each in self.invariants)

    def document(self) -> dict[str, Any]:
        return {
            **self.plan.options.document(),
            "invariants": [each.document() for each in self.invariants],
            "sometimes": dict(self.sometimes),
            "ok": self.ok,
            "near_a_fault": self.near_a_fault,
            "faults": sum(each.applied for each in self.happened),
            "by_fault": _by_fault(self.happened),
            "boring": list(self.boring),
            "notes": list(self.notes),
            "plan": [each.document() for each in self.plan.injections],
        }


def conclude(seen: Seen, audited: Report, timeline: Timeline) -> Outcome:
    applied = [each for each in seen.happened if each.applied]
    near = timeline.near((each.begun_ms, each.healed_ms) for each in applied)
    sometimes = {**audited.sometimes, **_sometimes(seen, timeline)}
    return Outcome(
        plan=seen.plan,
        happened=seen.happened,
        invariants=(*audited.invariants, *_own_invariants(seen, timeline)),
        sometimes=sometimes,
        near_a_fault=near,
        boring=_boring(applied, near, sometimes),
        notes=(
            *seen.ended_by_themselves,
            *seen.failed_starts,
            *(str(each).strip() for each in seen.happened if each.missed or each.trouble),
        ),
    )


def _own_invariants(seen: Seen, timeline: Timeline) -> tuple[Invariant, ...]:
    lost, doubled = lost_and_doubled(seen.dropped, timeline.files)
    after = ["no event was accepted any more"] if not seen.acknowledged_after else []
    given_up = [f"{seen.given_up} events were never accepted"] if seen.given_up else []
    ahead_sec = _schedule_ahead_sec(seen.happened)
    unfired = missing_ticks(timeline.schedule, timeline.ticks, seen.begun_sec, seen.ended_sec, ahead_sec)
    return (
        _invariant("C1", "every file dropped became one run", len(seen.dropped), [*lost, *doubled]),
        _invariant("C2", "once healed, events are accepted again", 1, [*after, *given_up]),
        _invariant(
            "C3", "once healed, everything comes to its end in time", len(timeline.accepted_ms), seen.not_drained
        ),
        _invariant("C5", "every second of the schedule became one run", len(timeline.ticks), unfired),
        _invariant("C4", "nothing is left running, no folder left over", 1, [*seen.left_processes, *seen.left_folders]),
    )


def _schedule_ahead_sec(happened: Sequence[Happened]) -> int | None:
    """When the clock that schedules go by was first set ahead."""
    begun_ms = [
        each.begun_ms
        for each in happened
        if each.injection.fault is Fault.CLOCK_AHEAD and each.injection.target in (TRIGGERS, SERVER)
    ]
    return min(begun_ms) // 1_000 if begun_ms else None


def _invariant(id_: str, promise: str, checked: int, broken: Iterable[str]) -> Invariant:
    examples = list(broken)
    return Invariant(
        id=id_, promise=promise, checked=checked, broken=len(examples), examples=tuple(examples[:KEPT_EXAMPLES])
    )


def _sometimes(seen: Seen, timeline: Timeline) -> dict[str, int]:
    logged = {name: seen.actions[action] for action, name in LOGGED.items() if seen.actions.get(action)}
    return {
        "dispatched_again": timeline.dispatched_again,
        "void_intents": timeline.void_intents,
        "files": len(timeline.files),
        "ticks": len(timeline.ticks),
        "commit_answers_lost": seen.lost_answers.get(Network.NO_COMMIT_ANSWERS, 0),
        "append_answers_lost": seen.lost_answers.get(Network.NO_APPEND_ANSWERS, 0),
        "ended_by_themselves": len(seen.ended_by_themselves),
        **logged,
    }


def _boring(applied: Sequence[Happened], near: int, sometimes: Mapping[str, int]) -> list[str]:
    """A run in which nothing happened would pass whatever the product does."""
    reasons = []
    if not applied:
        reasons.append("no fault was injected")
    if not near:
        reasons.append("no event was in flight near a fault")
    if not sometimes.get("acknowledged"):
        reasons.append("nothing was acknowledged")
    if any(_kills_runs(each) for each in applied) and not sometimes.get("instance_lost"):
        reasons.append("executors were killed, and no run was lost with them")
    return reasons


def _kills_runs(happened: Happened) -> bool:
    injection = happened.injection
    return injection.fault in (Fault.KILL, Fault.STORM) and injection.target in (*EXECUTORS, SERVER)


def _by_fault(happened: Sequence[Happened]) -> dict[str, int]:
    """Broker faults apart: they are of another kind."""
    names = (
        f"{each.injection.fault.value}{' broker' if each.injection.target == BROKER else ''}"
        for each in happened
        if each.applied
    )
    return dict(sorted(Counter(names).items()))
