from __future__ import annotations

import pytest

from triggers.schedule.catch_up import AHEAD_SEC, WINDOW_SEC, CatchUp, catch_up, enough
from triggers.schedule.settings import Missed, Policy

HOUR = 3_600
NOW = 1_000 * HOUR


def chosen(passed: list[int], policy: Policy, *, settled: int, now: float = NOW) -> CatchUp:
    return catch_up(passed, settled_sec=settled, now_sec=now, policy=policy)


@pytest.mark.parametrize("missed", list(Missed))
def test_what_is_late_by_no_more_than_the_grace_is_always_fired(missed: Missed) -> None:
    passed = [NOW - 60, NOW - 30, NOW]
    assert chosen(passed, Policy(missed=missed), settled=NOW - 90) == CatchUp(fire=tuple(passed), leaves_out=False)


@pytest.mark.parametrize(
    ("missed", "fired"),
    [(Missed.SKIP, ()), (Missed.LAST, (NOW - HOUR,)), (Missed.ALL, (NOW - 3 * HOUR, NOW - 2 * HOUR, NOW - HOUR))],
)
def test_what_was_missed_goes_by_the_policy(missed: Missed, fired: tuple[int, ...]) -> None:
    passed = [NOW - 3 * HOUR, NOW - 2 * HOUR, NOW - HOUR]
    found = chosen(passed, Policy(missed=missed), settled=NOW - 4 * HOUR)
    assert found == CatchUp(fire=fired, leaves_out=len(fired) < 3)


def test_a_time_within_the_grace_stands_for_the_last_one_missed() -> None:
    found = chosen([NOW - HOUR, NOW - 10], Policy(), settled=NOW - 2 * HOUR)
    assert found == CatchUp(fire=(NOW - 10,), leaves_out=True)


def test_all_means_the_newest_of_so_many() -> None:
    passed = list(range(NOW - 10 * HOUR, NOW - HOUR, HOUR))
    policy = Policy(missed=Missed.ALL, max_catchup=3)
    assert chosen(passed, policy, settled=NOW - 11 * HOUR).fire == tuple(passed[-3:])
    assert enough(policy) == 4


def test_what_may_have_been_fired_before_a_crash_is_not_fired_again_once_executors_have_forgotten_it() -> None:
    settled = NOW - HOUR
    passed = list(range(settled + 10, settled + 60, 10))
    found = chosen(passed, Policy(missed=Missed.ALL), settled=settled)
    assert found == CatchUp(fire=(settled + AHEAD_SEC + 10, settled + AHEAD_SEC + 20), leaves_out=True)


def test_what_may_have_been_fired_before_a_crash_is_fired_again_while_executors_know_it() -> None:
    settled = NOW - int(WINDOW_SEC)
    passed = [settled + 10, settled + 20]
    assert chosen(passed, Policy(missed=Missed.ALL), settled=settled).fire == tuple(passed)


def test_nothing_passed_is_nothing_to_do() -> None:
    assert chosen([], Policy(), settled=NOW) == CatchUp(fire=(), leaves_out=False)
