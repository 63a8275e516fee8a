"""From a handler's print to numbered lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.core.run import StatusCode
from processor.executor.abstract import RunProgressed
from processor.executor.capture import MAX_LINE_BYTES
from processor.executor.deadline import EndPolicy
from processor.executor.runtime.logs import CONTINUES
from tests.integration.instances import Driver, pool, result_of


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    with pool(tmp_path, end=EndPolicy(grace_sec=0.2)) as driver:
        yield driver


def test_ten_thousand_lines_arrive_in_order_without_a_gap(driver: Driver) -> None:
    ended = driver.run("prints_lines", {"lines": 10_000})
    lines = driver.lines(ended.delivery)
    assert [line[0] for line in lines] == list(range(1, len(lines) + 1))
    assert driver.texts(ended.delivery) == [f"line {number}" for number in range(10_000)]
    assert ended.log_lines == len(lines)


def test_a_line_of_five_megabytes_comes_in_pieces_and_no_character_is_lost(driver: Driver) -> None:
    texts = driver.texts(driver.run("prints_long").delivery)
    assert texts.pop() == "after"
    assert all(len(text.encode()) <= MAX_LINE_BYTES + len(CONTINUES) for text in texts)
    assert all(text.endswith(CONTINUES) for text in texts[:-1])
    assert "".join(text.removesuffix(CONTINUES) for text in texts) == "é" * (5 * 1024 * 1024 // 2)


def test_bytes_that_are_no_utf8_are_replaced_and_a_last_line_needs_no_end(driver: Driver) -> None:
    assert driver.texts(driver.run("prints_bytes").delivery) == ["caf\ufffd ok", "no end"]


def test_half_a_line_is_shown_while_the_run_goes_on(driver: Driver) -> None:
    delivery = driver.begin("prints_half_a_line")
    driver.said(delivery, "50 %")
    driver.pool.kill(delivery, StatusCode.CANCELLED, "seen")
    driver.ended(delivery)


def test_logging_keeps_its_level_and_its_lines_together(driver: Driver) -> None:
    ended = driver.run("logs")
    first, second = (line for line in driver.lines(ended.delivery) if line[1] == "logging")
    assert first[2:3] + first[4:] == ("INFO", "app: first\nsecond")
    assert second[2] == "ERROR"
    assert second[4].startswith("app: went wrong\nTraceback")
    assert second[4].endswith("ValueError: logged")


def test_what_the_module_says_on_import_stands_first_in_the_first_run_only(driver: Driver) -> None:
    first, second = driver.run("say"), driver.run("say")
    assert [line[4] for line in driver.lines(first.delivery)] == ["workloads imported", "hello"]
    assert [line[4] for line in driver.lines(second.delivery)] == ["hello"]
    assert [line[0] for line in driver.lines(second.delivery)] == [1]


def test_lines_of_a_thread_after_the_run_are_never_given_to_the_next(driver: Driver) -> None:
    first = driver.run("prints_later", name="f")
    # All that the thread says has been read when the instance has been idle for long enough to be asked again.
    instance = next(iter(driver.pool.crews[("f", "v1")].members.values()))
    driver.until(lambda: instance.late_bytes > len("from the thread\n") * 2, "what the thread says")
    second = driver.run("workloads:say", name="f")
    assert first.instance == second.instance
    assert driver.texts(first.delivery) == ["from the run"]
    assert driver.texts(second.delivery) == ["from the run"]


def test_a_flood_does_not_starve_another_run(driver: Driver) -> None:
    flood = driver.begin("floods")
    driver.started(flood)
    for number in range(20):
        assert result_of(driver.run("echo", number)) == number
    driver.pool.kill(flood, StatusCode.CANCELLED, "enough")
    ended = driver.ended(flood)
    assert ended.log_lines == len(driver.lines(flood))


def test_a_handler_may_close_its_standard_output(driver: Driver) -> None:
    ended = driver.run("closes_standard_output")
    assert result_of(ended) == "fine"
    assert driver.texts(ended.delivery) == ["still here"]


def progress_of(driver: Driver, delivery: str) -> list[tuple[float, str]]:
    told = [each for each in driver.events if isinstance(each, RunProgressed)]
    return [(each.fraction, each.message) for each in told if each.delivery == delivery]


def test_the_last_progress_comes_before_the_end_and_takes_no_number_of_a_line(driver: Driver) -> None:
    ended = driver.run("tells_how_far_it_is", 100_000)
    told = progress_of(driver, ended.delivery)
    assert told[-1] == (1.0, "step 100000")
    assert len(told) < 100
    assert driver.texts(ended.delivery)[-1] == "done"
    assert ended.log_lines == len(driver.lines(ended.delivery))


def test_the_next_run_of_an_instance_tells_its_own_progress(driver: Driver) -> None:
    first, second = driver.run("tells_how_far_it_is", 3), driver.run("tells_how_far_it_is", 2)
    assert first.instance == second.instance
    assert progress_of(driver, second.delivery) == [(0.0, "step 0"), (1.0, "step 2")]


def test_nonsense_told_as_progress_ends_no_run(driver: Driver) -> None:
    ended = driver.run("tells_nonsense")
    assert result_of(ended) == "progress: the fraction is a number from 0 to 1, not str"
    ((fraction, message),) = progress_of(driver, ended.delivery)
    assert (fraction, len(message)) == (1.0, 500)


def test_a_handler_that_exits_has_told_its_last_progress(driver: Driver) -> None:
    ended = driver.run("tells_and_exits")
    assert ended.status_code is StatusCode.PROCESS_EXITED
    assert progress_of(driver, ended.delivery) == [(0.1, ""), (0.2, "last words")]
