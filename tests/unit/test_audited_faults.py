"""One fault each, and no promise broken: the executor's own loop, recovery and acceptor, judged by the audit."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from processor.core.lifesigns import ISOLATION_LIMIT_SEC
from processor.executor.dedup import WindowPolicy
from processor.transport.abstract import Outcome
from tests.unit.audited_site import AuditedSite, Client, SteppingClock, kill_amid, serve_all
from tests.unit.incarnation_bench import ZERO, run

WAIT_SEC = 20.0
#: Remembers nothing, so that it hides no repeat that the vector has to find.
NO_WINDOW = WindowPolicy(span_ms=0, at_least_records=0, at_most_records=0)


# Claims


def test_what_an_executor_killed_amid_its_run_had_started_is_started_by_no_other() -> None:
    site = AuditedSite()
    site.dispatch(run(0), 0, previous=None)
    kill_amid(site.executor("e#1"), 1)
    serve_all(site.executor("e#2"))
    site.recover("e#1")
    assert site.breaches() == {}


def test_a_claim_that_is_refused_is_started_by_its_new_owner_only() -> None:
    site = AuditedSite()
    site.dispatch(run(0), 0, previous=None)
    sleeper = site.executor("e#1")
    sleeper.consumer.commits.extend([Outcome.YES, Outcome.NO])  # of the first owner; of the claim after its eviction

    def steps() -> Iterator[None]:
        yield from sleeper.until(lambda: len(sleeper.consumer.asked) == 2)
        serve_all(site.executor("e#2"))
        sleeper.consumer.will("lose", ZERO)
        yield from sleeper.seconds(1)
        yield from sleeper.drain()

    sleeper.play(steps())
    assert site.breaches() == {}


@pytest.mark.parametrize("taken_away", ["revoke", "lose"])
def test_what_is_buffered_when_a_partition_moves_is_started_by_its_new_owner_only(taken_away: str) -> None:
    site = AuditedSite()
    for number in range(5):
        site.dispatch(run(number), number, previous=number - 1 if number else None)
    old = site.executor("e#1")

    def steps() -> Iterator[None]:
        yield from old.until(lambda: len(old.pool.running) == 2)  # no slot is free, three are buffered
        old.consumer.will(taken_away, ZERO)
        yield from old.until(lambda: not old.consumer.assignment())
        serve_all(site.executor("e#2"))
        old.pool.end()
        yield from old.seconds(1)
        yield from old.drain()

    old.play(steps())
    assert site.breaches() == {}


# Repeats


def test_a_dispatchers_repeat_after_a_takeover_is_not_started_again_however_late_it_comes() -> None:
    site = AuditedSite()
    site.dispatch(run(0), 0, previous=None)
    serve_all(site.executor("e#1", NO_WINDOW))
    site.clock.advance(3_600.0)
    site.dispatch(run(0), 0, previous=None)
    serve_all(site.executor("e#2", NO_WINDOW))
    assert site.breaches() == {}


def test_what_a_dispatchers_failed_session_had_left_out_is_started_once_it_comes() -> None:
    site = AuditedSite()
    site.dispatch(run(1), 1, previous=0)  # the append before it failed
    site.dispatch(run(0), 0, previous=None)
    site.dispatch(run(1), 1, previous=0)
    serve_all(site.executor("e#1"))
    assert site.breaches() == {}


def test_a_repeat_of_upstream_after_a_takeover_is_not_started_again_within_the_window() -> None:
    site = AuditedSite()
    site.dispatch(run(0), 0, previous=None)
    serve_all(site.executor("e#1"))
    site.dispatch(run(0), 1, previous=0)
    serve_all(site.executor("e#2"))
    assert site.breaches() == {}


# Ends


def test_a_claim_that_lands_while_recovery_looks_is_left_to_its_executor() -> None:
    site = AuditedSite()
    site.dispatch(run(0), 0, previous=None)
    site.intend(run(0), "e#dead", offset=0)  # and died before its commit
    living, claimed, recovered = site.executor("e#2"), threading.Event(), threading.Event()

    def steps() -> Iterator[None]:
        yield from living.until(lambda: living.pool.running)
        claimed.set()
        assert recovered.wait(WAIT_SEC), "its `started` is not on the log yet"
        yield from living.drain()

    playing = threading.Thread(target=living.play, args=(steps(),))

    def claim() -> None:
        playing.start()
        assert claimed.wait(WAIT_SEC)

    site.transport.on_committed = claim
    site.recover("e#dead")
    recovered.set()
    playing.join(WAIT_SEC)
    assert site.breaches() == {}


def test_a_verdict_that_is_refused_for_want_of_room_is_written_once_there_is_some() -> None:
    site = AuditedSite()
    site.dispatch(run(0), 0, previous=None)
    bench = site.executor("e#1")

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.seconds(1)
        site.transport.flushes.extend([Outcome.NO] * 3)  # the disk is full
        yield from bench.drain()

    bench.play(steps())
    assert site.breaches() == {}


def test_a_step_of_the_wall_clock_ends_no_run_and_declares_nobody_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    stepping = SteppingClock(monkeypatch)
    site = AuditedSite(stepping)
    site.dispatch(run(0), 0, previous=None)
    bench = site.executor("e#1")

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        for step_sec in (2 * ISOLATION_LIMIT_SEC, -4 * ISOLATION_LIMIT_SEC):
            stepping.step_wall_clock(step_sec)
            yield from bench.seconds(5)
        yield from bench.drain()

    bench.play(steps())
    verdicts = [each.status_code.name for each in bench.verdicts()]
    assert verdicts == ["OK"], "I5: lost means that its executor was"
    assert site.breaches() == {}


# Acceptance


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.NO])
def test_what_the_log_does_not_take_is_not_acknowledged(outcome: Outcome) -> None:
    site = AuditedSite()
    client = Client(site, [Outcome.YES, outcome, Outcome.YES])
    client.send("a", "b", "c")
    serve_all(site.executor("e#1"))
    assert site.breaches() == {}


def test_an_event_that_is_sent_again_keeps_its_request_id() -> None:
    site = AuditedSite()
    Client(site).send("a", "b", "a")
    serve_all(site.executor("e#1"))
    assert site.breaches() == {}
