from __future__ import annotations

from processor.executor.fairness import Turns
from processor.executor.load import FunctionLoad, Limits, Load, share_of


def test_one_function_gets_all_the_room_when_it_is_alone() -> None:
    assert Turns().share({"a": 1_000}, {"a": 0.001}, 64) == {"a": 64}


def test_a_backlog_of_one_function_does_not_push_another_back() -> None:
    shares = Turns().share({"big": 1_000_000, "small": 3}, {"big": 0.001, "small": 0.001}, 64)
    assert shares == {"big": 61, "small": 3}


def test_room_is_shared_by_expected_work_not_by_count() -> None:
    shares = Turns().share({"long": 100, "short": 100}, {"long": 0.1, "short": 0.01}, 44)
    assert shares["short"] == 10 * shares["long"]


def test_nobody_waits_for_ever_when_there_is_room_for_one_at_a_time() -> None:
    turns = Turns()
    got = [next(iter(turns.share({"a": 9, "b": 9, "c": 9}, dict.fromkeys("abc", 1.0), 1))) for _ in range(6)]
    assert sorted(got[:3]) == ["a", "b", "c"]
    assert sorted(got[3:]) == ["a", "b", "c"]


def test_an_unmeasured_function_is_claimed_one_per_slot() -> None:
    load = Load(slots=4)
    limits = Limits(concurrency=8, claim_ahead_sec=1.0)
    assert load.allowance("f", limits) == 4
    load.of("f").open = 4
    assert load.allowance("f", limits) == 0


def test_short_runs_are_claimed_ahead_as_far_as_the_work_lasts() -> None:
    load = Load(slots=2, functions={"f": FunctionLoad(mean_sec=0.01, measured=True)})
    assert load.allowance("f", Limits(concurrency=2, claim_ahead_sec=1.0)) == 202
    assert load.allowance("f", Limits(concurrency=2, claim_ahead_sec=0.0)) == 2


def test_long_runs_of_others_take_slots_and_short_ones_do_not() -> None:
    load = Load(slots=2, functions={"long": FunctionLoad(open=1), "short": FunctionLoad(open=50, mean_sec=0.001)})
    assert load.allowance("f", Limits(concurrency=8, claim_ahead_sec=1.0)) == 1


def test_concurrency_is_shared_over_partitions_and_every_owner_serves() -> None:
    assert share_of(8, 4, 2) == 4
    assert share_of(5, 4, 1) == 1
    assert share_of(1, 4, 1) == 1
    assert share_of(8, 4, 0) == 0
