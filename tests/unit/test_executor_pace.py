from __future__ import annotations

import pytest

from processor.executor.pace import Pace


def starts(pace: Pace, per_sec: float, *, waiting: int, from_sec: float, seconds: float, step_sec: float) -> int:
    """Claims whatever it may, looking every step_sec."""
    total = 0
    for turn in range(int(seconds / step_sec)):
        count = pace.allowance(per_sec, waiting, from_sec + turn * step_sec)
        pace.charge(count)
        total += count
    return total


def test_a_second_of_starts_is_there_at_once_and_no_more() -> None:
    pace = Pace()
    assert pace.allowance(10.0, 1_000, 0.0) == 10
    pace.charge(10)
    assert pace.allowance(10.0, 1_000, 0.0) == 0
    assert pace.allowance(10.0, 1_000, 0.1) == 1


@pytest.mark.parametrize("step_sec", [0.0005, 0.002, 0.1, 0.4])
@pytest.mark.parametrize("per_sec", [0.5, 10.0, 333.0, 5_000.0])
def test_the_rate_is_kept_however_often_it_is_looked_at(per_sec: float, step_sec: float) -> None:
    pace = Pace()
    pace.charge(pace.allowance(per_sec, 10**6, 100.0))
    total = starts(pace, per_sec, waiting=10**6, from_sec=100.0, seconds=60.0, step_sec=step_sec)
    assert total == pytest.approx(60.0 * per_sec, abs=1 + per_sec * max(step_sec, 0.02))


def test_what_was_not_used_is_not_saved_up() -> None:
    pace = Pace()
    pace.allowance(10.0, 1, 0.0)
    assert pace.allowance(10.0, 1_000, 3_600.0) == 10


def test_what_was_not_charged_is_still_there() -> None:
    pace = Pace()
    assert pace.allowance(10.0, 3, 0.0) == 3
    assert pace.allowance(10.0, 3, 0.0) == 3, "the claim was refused"


def test_a_high_rate_is_claimed_in_batches_that_are_worth_a_commit() -> None:
    pace = Pace()
    pace.charge(pace.allowance(1_000.0, 10**6, 0.0))
    assert pace.allowance(1_000.0, 10**6, 0.0185) == 0
    assert pace.allowance(1_000.0, 10**6, 0.0205) == 20
    assert pace.allowance(1_000.0, 3, 0.0205) == 3, "unless no more wait"


def test_it_tells_when_the_next_may_start_once_the_granted_are_charged() -> None:
    pace = Pace()
    granted = pace.allowance(10.0, 1_000, 5.0)
    assert pace.ready_at_sec(10.0, 1_000, granted) == pytest.approx(5.1)
    pace.charge(granted)
    assert pace.allowance(10.0, 1_000, 5.05) == 0
    assert pace.ready_at_sec(10.0, 1_000, 0) == pytest.approx(5.1)
    assert pace.allowance(10.0, 1_000, 5.1001) == 1


def test_a_lower_rate_takes_away_what_it_has_no_room_for() -> None:
    pace = Pace()
    pace.allowance(1_000.0, 1, 0.0)
    assert pace.allowance(2.0, 1_000, 0.0) == 2
