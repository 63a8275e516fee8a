"""Exactly one end for every run, whatever is killed in between."""

from __future__ import annotations

import collections
import os
import random
import signal
from pathlib import Path

import pytest

from processor.core.run import StatusCode
from processor.executor.abstract import LogLines, RunEnded, RunStarted
from processor.executor.deadline import EndPolicy
from tests.integration.instances import Driver, pool

HANDLERS = ("say", "count", "raises", "exits_hard", "hangs", "forks_and_returns_twice", "prints_lines", "hangs_deaf")
DATA = {"lines": 300, "status": 2}
RUNS = 250


def kill_something(driver: Driver, chance: random.Random) -> None:
    """Mostly an instance or something below it, sometimes a zygote, at times the guard."""
    victims = driver.processes()
    if chance.random() < 0.05 and driver.pool.guard_pid:
        victims = [driver.pool.guard_pid]
    if victims:
        try:
            os.kill(chance.choice(victims), signal.SIGKILL)
        except ProcessLookupError:
            return  # it had just ended by itself


@pytest.mark.parametrize("seed", range(3))
def test_every_run_ends_exactly_once_whatever_dies(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    policy = EndPolicy(grace_sec=0.05, give_up_sec=5.0)
    with pool(tmp_path, slots=4, max_instances=6, idle_sec=0.5, end=policy) as driver:
        given = [driver.begin(handler, DATA, timeout_sec=0.3) for handler in HANDLERS]
        for each in given:
            driver.ended(each)  # what is killed while it is imported never gets as far as running
        while len(given) < RUNS:
            handler = chance.choice(HANDLERS)
            given.append(driver.begin(handler, DATA, timeout_sec=0.3, concurrency=3))
            if chance.random() < 0.5:
                driver.events += driver.pool.poll(0.01)
            if chance.random() < 0.1:
                kill_something(driver, chance)
            if chance.random() < 0.05:
                grace_sec = chance.choice((0.0, 0.05))
                driver.pool.kill(chance.choice(given), StatusCode.CANCELLED, "chaos", grace_sec=grace_sec)
        driver.until(lambda: not driver.pool.open_runs, "the end of all runs")
        driver.events += driver.pool.poll()
        check(driver, given)


def check(driver: Driver, given: list[str]) -> None:
    ended = collections.Counter(event.delivery for event in driver.events if isinstance(event, RunEnded))
    started = collections.Counter(event.delivery for event in driver.events if isinstance(event, RunStarted))
    assert ended == dict.fromkeys(given, 1)
    assert max(started.values()) == 1
    over: set[str] = set()
    for event in driver.events:
        if isinstance(event, RunEnded):
            over.add(event.delivery)
            assert event.log_lines == len(driver.lines(event.delivery))
        elif isinstance(event, LogLines | RunStarted):
            assert event.delivery not in over
