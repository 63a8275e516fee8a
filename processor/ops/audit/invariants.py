"""The promises, each as a count of what was looked at and what breaks it. Pure.

The ids are those of the list of invariants in docs/guarantees.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from processor.core.ledger import Ended
from processor.core.run import Delivery, Status, StatusCode
from processor.ops.audit.evidence import Answer, Evidence, Sent
from processor.ops.audit.facts import Facts, RunFacts

KEPT_EXAMPLES = 5
#: Of one function's runs, by status.
Counts = Mapping[tuple[str, str], int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Invariant:
    id: str
    promise: str
    checked: int
    broken: int
    examples: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "promise": self.promise,
            "checked": self.checked,
            "broken": self.broken,
            "examples": list(self.examples),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    invariants: tuple[Invariant, ...]
    #: What may happen, and did so often.
    sometimes: Mapping[str, int]

    @property
    def ok(self) -> bool:
        return not any(each.broken for each in self.invariants)

    def document(self) -> dict[str, Any]:
        return {
            "invariants": [each.document() for each in self.invariants],
            "sometimes": dict(self.sometimes),
            "ok": self.ok,
        }


def examine(facts: Facts, evidence: Evidence, history: Counts | None, *, drained: bool) -> Report:
    """history: the runs that the history database has, by (function, status). drained: nothing may be open any more."""
    invariants = [
        _acknowledged(facts, evidence),
        _one_verdict(facts, drained=drained),
        _one_start(facts, evidence),
        _lines(facts, drained=drained),
        _verdicts_are_true(facts, evidence),
        _unknown_at_most_once(evidence),
        _one_id_per_key(evidence),
        _intents(facts, drained=drained),
    ]
    if history is not None:
        invariants.append(_conserved(facts, history, drained=drained))
    return Report(invariants=tuple(invariants), sometimes=_sometimes(facts, evidence))


def _found(id_: str, promise: str, checked: int, broken: Iterable[str]) -> Invariant:
    examples = sorted(broken)
    return Invariant(
        id=id_, promise=promise, checked=checked, broken=len(examples), examples=tuple(examples[:KEPT_EXAMPLES])
    )


def _acknowledged(facts: Facts, evidence: Evidence) -> Invariant:
    told = evidence.acknowledged()
    return _found("I1", "what was acknowledged is on the ledger", len(told), told - facts.runs.keys())


def _one_verdict(facts: Facts, *, drained: bool) -> Invariant:
    """On a live system what is queued or runs has none yet."""
    open_ = [id_ for id_, run in facts.runs.items() if run.verdict is None] if drained else []
    unfinished = [
        id_
        for id_, run in facts.runs.items()
        for state in run.deliveries.values()
        if drained and run.verdict is not None and state.verdict is None
    ]
    return _found("I2", "every delivery has its verdict", len(facts.runs), {*open_, *unfinished})


def _one_start(facts: Facts, evidence: Evidence) -> Invariant:
    """By the handlers' own journal, and by the ledger."""
    twice = {id_ for id_, run in facts.runs.items() if any(len(each) > 1 for each in run.starters.values())}
    if evidence.journal is not None:
        twice |= {id_ for id_, count in evidence.journal.starts.items() if count > 1}
    checked = len(evidence.journal.starts) if evidence.journal is not None else len(facts.runs)
    return _found("I3", "nothing was started twice", checked, twice)


def _lines(facts: Facts, *, drained: bool) -> Invariant:
    """What an executor that was killed took with it, readers count; nobody else may lose a line without a marker."""
    broken = {
        f"{run} {delivery}"
        for (run, delivery), lines in facts.lines.items()
        if lines.gaps and not _ran_on(facts, run, delivery) & facts.dead
    }
    checked = 0
    for id_, delivery, verdict, seen in _counted_lines(facts) if drained else ():
        checked += 1
        excused = seen < verdict.log_lines and _ran_on(facts, id_, str(delivery)) & facts.dead
        if seen != verdict.log_lines and not excused:
            broken.add(f"{id_} {delivery}")
    promise = "log lines are there without a gap, as many as the verdict says, but for those of a killed executor"
    return _found("I4", promise, checked, broken)


def _counted_lines(facts: Facts) -> Iterator[tuple[str, Delivery | None, Ended, int]]:
    """The deliveries whose verdict counts lines, and the last one on the log."""
    for id_, run in facts.runs.items():
        for delivery, state in run.deliveries.items():
            if state.verdict is not None and state.verdict.log_lines:
                seen = facts.lines.get((id_, str(delivery)))
                yield id_, delivery, state.verdict, 0 if seen is None else seen.next_seq - 1


def _ran_on(facts: Facts, run: str, delivery: str) -> set[str]:
    starters = facts.runs[run].starters if run in facts.runs else {}
    return next((names for at, names in starters.items() if str(at) == delivery), set())


def _verdicts_are_true(facts: Facts, evidence: Evidence) -> Invariant:
    """By the journal, of functions that keep one; and by who had started what is said to be lost."""
    checked, broken = 0, {id_ for id_, run in facts.runs.items() if _lost_by_another(run)}
    starts, ends = (evidence.journal.starts, evidence.journal.ends) if evidence.journal else (Counter[str](),) * 2
    kept = {facts.runs[id_].function for id_ in starts if id_ in facts.runs}
    for id_, run in facts.runs.items():
        verdict = run.verdict
        if verdict is None or run.function not in kept:
            continue
        checked += 1
        if verdict.status is Status.FINISHED and not (starts[id_] and ends[id_]):
            broken.add(id_)
        if _never_began(verdict) and starts[id_] and len(run.deliveries) == 1:
            broken.add(id_)
    promise = "FINISHED means that the handler ran to its end, expired that it never began, lost that its executor was"
    return _found("I5", promise, checked, broken)


def _lost_by_another(run: RunFacts) -> bool:
    """Recovery took a delivery for a dead executor's, and another one had started it or did so afterwards."""
    for delivery, state in run.deliveries.items():
        verdict = state.verdict
        if delivery is None or verdict is None or verdict.status_code is not StatusCode.INSTANCE_LOST:
            continue
        starters = run.starters.get(delivery)
        if verdict.executor and starters and verdict.executor not in starters:
            return True
    return False


def _never_began(verdict: Ended) -> bool:
    return verdict.status_code in (StatusCode.EXPIRED, StatusCode.FUNCTION_NOT_FOUND)


def _unknown_at_most_once(evidence: Evidence) -> Invariant:
    unknown = {each.request_id for each in evidence.sent if each.answer is Answer.UNKNOWN and each.request_id}
    journal = evidence.journal
    twice = {id_ for id_ in unknown if journal is not None and journal.starts[id_] > 1}
    return _found("I6", "an event whose fate was unknown to its sender started at most once", len(unknown), twice)


def _one_id_per_key(evidence: Evidence) -> Invariant:
    named = sorted((each for each in evidence.sent if each.request_id), key=_key)
    groups = {key: {each.request_id for each in group} for key, group in groupby(named, _key)}
    return _found("I9", "one key has one RequestId", len(groups), (key for key, ids in groups.items() if len(ids) > 1))


def _key(sent: Sent) -> str:
    return sent.key


def _intents(facts: Facts, *, drained: bool) -> Invariant:
    left = [str(each.delivery) for each in facts.intents.values()] if drained else []
    return _found("I13", "no claim is left open", len(facts.runs), left)


def _conserved(facts: Facts, history: Counts, *, drained: bool) -> Invariant:
    """The history holds the runs of the ledger, each in its state. While it catches up, only drained says so."""
    ledger = Counter((run.function, status_of(run)) for run in facts.runs.values())
    broken = [
        f"{function} {status}: ledger {ledger[function, status]}, history {history.get((function, status), 0)}"
        for function, status in sorted({*ledger, *history})
        if ledger[function, status] != history.get((function, status), 0)
    ]
    return _found("I11", "ledger and history count the same runs", len(facts.runs), broken if drained else ())


def status_of(run: RunFacts) -> str:
    """As the history says it: of the newest delivery."""
    states = list(run.deliveries.values())
    return states[-1].status.value if states else Status.QUEUED.value


def _sometimes(facts: Facts, evidence: Evidence) -> dict[str, int]:
    states = [state for run in facts.runs.values() for state in run.deliveries.values()]
    codes = Counter(state.verdict.status_code for state in states if state.verdict is not None)
    answers = Counter(each.answer for each in evidence.sent)
    return {
        "runs": len(facts.runs),
        "acknowledged": answers[Answer.OK],
        "unknown_answers": answers[Answer.UNKNOWN],
        "refused_answers": answers[Answer.REFUSED],
        "accepted_again": sum(len(run.accepted) > 1 for run in facts.runs.values()),
        "deliveries_again": sum(max(len(run.deliveries) - 1, 0) for run in facts.runs.values()),
        "late_verdicts": sum(state.void_verdicts for state in states),
        "instance_lost": codes[StatusCode.INSTANCE_LOST],
        "lines_lost_with_executor": sum(max(each[2].log_lines - each[3], 0) for each in _counted_lines(facts)),
        "open_intents": len(facts.intents),
        "undecodable": facts.undecodable,
    }
