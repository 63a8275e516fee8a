"""The protocol of DESIGN 5, explored exhaustively within small budgets of faults (see tests/unit/protocol)."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from tests.unit.protocol.counterexamples import CASES, NO_FAULT, ONE, TWO, Case, page
from tests.unit.protocol.explorer import explore
from tests.unit.protocol.queue_logs import QueueLog, queue_logs, session
from tests.unit.protocol.world import Budget

PAGE = Path(__file__).parents[2] / "docs" / "counterexamples.md"
#: Event A is delivered twice by its upstream.
INTAKE = "ABA"
FAULTS = tuple(each for each in Budget._fields if each not in ("renewals", "looks"))


def hold(log: QueueLog, budget: Budget) -> None:
    found = explore(log, budget)
    assert found.broken is None, f"{found.broken} in {log}"


@pytest.mark.parametrize("fault", FAULTS)
def test_every_promise_holds_under_one_fault_of_each_kind(fault: str) -> None:
    hold(TWO, NO_FAULT._replace(**{fault: 1}))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_commit_that_is_repeated_moves_nothing_under_one_fault_of_each_kind(fault: str) -> None:
    hold(ONE, NO_FAULT._replace(**{fault: 1}, renewals=1))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_reconciler_finds_nothing_under_one_fault_of_each_kind(fault: str) -> None:
    hold(ONE, NO_FAULT._replace(**{fault: 1}, looks=1))


def test_every_log_that_two_dispatchers_can_leave_is_taken_once_each_across_a_change_of_owner() -> None:
    logs = queue_logs(INTAKE)
    assert len(logs) == 43
    for log in logs:
        hold(log, NO_FAULT._replace(revocations=1))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("faults", list(combinations(FAULTS, 2)), ids="+".join)
def test_every_promise_holds_under_each_pair_of_faults_with_an_upstream_repeat(faults: tuple[str, str]) -> None:
    hold(tuple(session(INTAKE, 0)), NO_FAULT._replace(**dict.fromkeys(faults, 1)))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("faults", list(combinations(FAULTS, 2)), ids="+".join)
def test_the_reconciler_finds_nothing_under_each_pair_of_faults_while_commits_are_repeated(
    faults: tuple[str, str],
) -> None:
    hold(ONE, NO_FAULT._replace(**dict.fromkeys(faults, 1), renewals=1, looks=1))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_promise_holds_for_every_log_of_two_dispatchers_under_each_fault(fault: str) -> None:
    for log in queue_logs(INTAKE):
        hold(log, NO_FAULT._replace(**{fault: 1}))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.guard.name)
def test_without_a_guard_a_promise_is_broken_that_holds_with_it(case: Case) -> None:
    assert explore(case.log, case.budget, *case.also_without).broken is None
    assert explore(case.log, case.budget, case.guard, *case.also_without).broken is not None


def test_the_counterexamples_in_the_docs_are_those_that_are_found() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.unit.protocol.counterexamples"
