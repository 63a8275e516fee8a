from __future__ import annotations

import pytest

from processor.executor.fairness import Turns
from processor.executor.load import AHEAD_RUNS, LONG_SEC, FunctionLoad, Limits, Load, share_of

LIMITS = Limits(concurrency=4, claim_ahead_sec=1.0)


def measured(load: Load, function: str, duration_sec: float) -> None:
    load.of(function).open += 1
    load.of(function).ended("q/0/0", duration_sec)


def begin(load: Load, function: str, *deliveries: str, now_sec: float = 0.0) -> None:
    for delivery in deliveries:
        load.of(function).open += 1
        load.of(function).running[delivery] = now_sec


def test_a_function_that_never_ran_gets_one_claim_per_slot() -> None:
    load = Load(slots=2)
    assert load.allowance("f", LIMITS) == 2
    load.of("f").open = 2
    assert load.allowance("f", LIMITS) == 0


def test_short_runs_are_claimed_ahead_for_a_second_of_work() -> None:
    load = Load(slots=2)
    measured(load, "f", 0.01)
    assert load.allowance("f", LIMITS) == 2 + 200
    assert load.allowance("f", Limits(concurrency=4, claim_ahead_sec=0.0)) == 2


def test_however_short_they_are_a_kill_can_lose_no_more_than_so_many_that_have_not_begun() -> None:
    load = Load(slots=2)
    for name in ("f", "g"):
        measured(load, name, 0.0)
    assert load.allowance("f", LIMITS) == 2 + AHEAD_RUNS
    load.of("f").open = 2 + AHEAD_RUNS
    assert load.allowance("f", LIMITS) == 0
    assert load.allowance("g", LIMITS) == 2, "what others have claimed ahead takes nobody's slots"
    assert load.batch_room == 2


def test_a_batch_of_several_functions_holds_no_more_than_that_either() -> None:
    load = Load(slots=2)
    for name in ("f", "g", "h"):
        measured(load, name, 0.0)
    wants = {name: load.allowance(name, LIMITS) for name in ("f", "g", "h")}
    shares = Turns().share(wants, dict.fromkeys(wants, 0.001), load.batch_room)
    assert sum(shares.values()) == 2 + AHEAD_RUNS


def test_slots_that_others_hold_for_long_are_not_claimed_for() -> None:
    load = Load(slots=3)
    begin(load, "long", "q/0/1", "q/0/2")
    assert load.allowance("f", LIMITS) == 1
    begin(load, "long", "q/0/3")
    assert load.allowance("f", LIMITS) == 0
    assert load.full


def test_nothing_is_claimed_behind_runs_that_take_long_for_once() -> None:
    load = Load(slots=2)
    measured(load, "f", 0.01)
    begin(load, "f", "q/0/1", "q/0/2")
    assert load.allowance("f", LIMITS) > 100
    load.look(LONG_SEC + 0.1)
    assert load.allowance("f", LIMITS) == 0, "they would wait behind these for as long as these take"
    assert load.full, "and its partitions go to members with room"
    assert load.allowance("other", LIMITS) == 0


def test_room_is_there_again_when_a_long_run_has_ended() -> None:
    load = Load(slots=2)
    measured(load, "f", 0.01)
    begin(load, "f", "q/0/1", "q/0/2")
    load.look(20.0)
    load.of("f").ended("q/0/1", 20.0)
    assert not load.full
    assert load.allowance("other", LIMITS) == 1


@pytest.mark.parametrize(
    ("concurrency", "partitions", "owned", "share"), [(4, 4, 1, 1), (5, 4, 3, 3), (2, 4, 1, 1), (8, 4, 0, 0)]
)
def test_a_share_of_the_concurrency_goes_with_each_owned_partition(
    concurrency: int, partitions: int, owned: int, share: int
) -> None:
    assert share_of(concurrency, partitions, owned) == share


def test_a_run_that_was_cut_off_says_nothing_about_how_long_runs_take() -> None:
    load = FunctionLoad(open=2)
    load.ended("a", 100.0)
    load.ended("b", 0.1, cut_off=True)
    assert (load.open, load.mean_sec) == (0, 100.0)
