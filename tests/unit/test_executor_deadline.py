from __future__ import annotations

from processor.executor.deadline import EndPolicy, Ladder, Rung

POLICY = EndPolicy(grace_sec=1.0, give_up_sec=10.0)


def test_a_run_over_its_limit_is_asked_then_killed_then_given_up() -> None:
    ladder = Ladder(POLICY)
    ladder.start(100.0)
    assert (ladder.rung, ladder.due_sec) == (Rung.RUNS, 100.0)
    assert (ladder.climb(100.0), ladder.due_sec) == (Rung.ASKED, 101.0)
    assert (ladder.climb(101.0), ladder.due_sec) == (Rung.KILLED, 111.0)
    assert (ladder.climb(111.0), ladder.due_sec) == (Rung.ORPHANED, 121.0)
    assert (ladder.climb(121.0), ladder.due_sec) == (Rung.GIVEN_UP, float("inf"))


def test_a_cancelled_run_has_the_grace_that_was_asked_for() -> None:
    ladder = Ladder(POLICY)
    ladder.start(100.0)
    ladder.ask(50.0, 7.0)
    assert (ladder.rung, ladder.due_sec) == (Rung.ASKED, 57.0)


def test_a_killed_run_is_given_up_in_time() -> None:
    ladder = Ladder(POLICY)
    ladder.start(100.0)
    ladder.kill(50.0)
    assert (ladder.climb(60.0), ladder.due_sec) == (Rung.ORPHANED, 70.0)
    assert (ladder.climb(70.0), ladder.due_sec) == (Rung.GIVEN_UP, float("inf"))
