from __future__ import annotations

import pytest

from processor.dispatcher.throttle import Rate, TokenBucket


def test_a_full_bucket_lets_a_second_of_calls_through_at_once() -> None:
    rate = Rate.of(10)
    bucket = TokenBucket(rate, 0.0)
    assert [bucket.take(rate, 0.0) for _ in range(10)] == [0.0] * 10
    assert bucket.take(rate, 0.0) == pytest.approx(0.1)


def test_waiting_as_long_as_told_is_enough() -> None:
    rate = Rate.of(3)
    bucket = TokenBucket(rate, 0.0)
    now_sec = 0.0
    for _ in range(50):
        while wait_sec := bucket.take(rate, now_sec):
            now_sec += wait_sec * 1.000_001
    assert now_sec == pytest.approx(47 / 3, rel=0.01)


def test_a_refused_call_takes_nothing() -> None:
    rate = Rate.of(1)
    bucket = TokenBucket(rate, 0.0)
    bucket.take(rate, 0.0)
    for _ in range(100):
        assert bucket.take(rate, 0.5)
    assert bucket.take(rate, 1.0) == 0.0


def test_a_quiet_hour_saves_up_no_more_than_one_second() -> None:
    rate = Rate.of(5)
    bucket = TokenBucket(rate, 0.0)
    assert sum(bucket.take(rate, 3_600.0) == 0.0 for _ in range(100)) == 5


def test_the_rate_is_divided_among_gateways_and_a_slow_one_still_lets_single_calls_through() -> None:
    assert Rate.of(10, shares=4).per_sec == 2.5
    slow = Rate.of(0.1, shares=10)
    bucket = TokenBucket(slow, 0.0)
    assert bucket.take(slow, 0.0) == 0.0
    assert bucket.take(slow, 0.0) == pytest.approx(100.0)


def test_a_clock_that_steps_back_gives_nothing() -> None:
    rate = Rate.of(1)
    bucket = TokenBucket(rate, 100.0)
    bucket.take(rate, 100.0)
    assert bucket.take(rate, 50.0) == pytest.approx(1.0)
