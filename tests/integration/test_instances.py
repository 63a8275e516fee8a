"""Every way a run can end, with real processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.core.run import StatusCode
from processor.executor.abstract import PoolStopped, RunEnded, RunStarted
from processor.executor.deadline import EndPolicy
from tests.integration.instances import FAMILY, Driver, pid_of, pool, result_of


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    with pool(tmp_path, end=EndPolicy(grace_sec=0.2)) as driver:
        yield driver


def is_gone(driver: Driver, ended: RunEnded) -> bool:
    return pid_of(ended) not in driver.processes()


def test_a_run_that_returns_ends_200_with_its_result(driver: Driver) -> None:
    ended = driver.run("echo", {"n": [1, "ü", None]})
    assert result_of(ended) == {"n": [1, "ü", None]}
    assert ended.error is None
    assert ended.cold_start
    assert (ended.memory_mb or 0) > 1


def test_the_next_run_uses_the_warm_instance_and_its_folder(driver: Driver) -> None:
    first, second = driver.run("count"), driver.run("count")
    assert result_of(first) == {**result_of(second), "runs": 1}
    assert result_of(second)["runs"] == 2
    assert (first.cold_start, second.cold_start) == (True, False)


def test_an_exception_ends_430_with_the_users_frames_only(driver: Driver) -> None:
    ended = driver.run("raises")
    assert ended.status_code is StatusCode.HANDLER_RAISED
    assert ended.error is not None
    assert (ended.error.type, ended.error.message) == ("ValueError", "Grüße")
    assert "in raises" in ended.error.stack
    assert "KeyError: 'inner'" in ended.error.stack
    assert "runtime" not in ended.error.stack
    assert ended.error.stack.count("File ") == 2


@pytest.mark.parametrize(
    ("handler", "data", "code", "error"),
    [
        ("returns_set", None, 430, "Runtime.MarshalError"),
        ("returns_much", None, 430, "Function.ResponseSizeTooLarge"),
        ("exits", {"status": 0}, 439, "Runtime.ExitError: exit status 0"),
        ("exits", {"status": 5}, 439, "Runtime.ExitError: exit status 5"),
        ("exits", {"status": "a text"}, 439, "Runtime.ExitError: exit status 1"),
        ("exits_hard", {"status": 0}, 439, "Runtime.ExitError: exit status 0"),
        ("exits_hard", {"status": 3}, 439, "Runtime.ExitError: exit status 3"),
        ("crashes", None, 439, "Runtime.ExitError: signal: segmentation fault"),
        ("kills_itself", None, 439, "Runtime.ExitError: signal: killed"),
        ("closes_everything", None, 439, "Runtime.ExitError: signal: killed"),
        ("writes_rubbish", None, 500, "InstanceLost"),
        ("leaves_files", None, 430, "ValueError"),
    ],
)
def test_an_exceptional_end_has_its_code_and_takes_its_instance_with_it(
    driver: Driver, handler: str, data: object, code: int, error: str
) -> None:
    ended = driver.run(handler, data)
    assert ended.error is not None
    assert (ended.status_code, f"{ended.error.type}: {ended.error.message}"[: len(error)]) == (code, error)
    assert is_gone(driver, ended)


def test_what_was_printed_before_a_hard_exit_arrives_before_the_end(driver: Driver) -> None:
    ended = driver.run("exits_hard", {"status": 1})
    assert "before the exit" in driver.texts(ended.delivery)
    assert driver.events.index(ended) > max(
        index for index, event in enumerate(driver.events) if type(event).__name__ == "LogLines"
    )


def test_a_result_of_six_mebibytes_arrives(driver: Driver) -> None:
    assert len(result_of(driver.run("returns_much_enough"))) == 6 * 1024 * 1024


def test_an_event_of_a_megabyte_arrives(driver: Driver) -> None:
    assert result_of(driver.run("echo", "x" * 1_000_000)) == "x" * 1_000_000


def test_a_run_over_its_time_limit_ends_433(driver: Driver) -> None:
    ended = driver.run("hangs", timeout_sec=0.2)
    assert ended.status_code is StatusCode.TIME_LIMIT
    assert ended.error is not None
    assert ended.error.message == "Task timed out after 0.20 seconds"
    assert is_gone(driver, ended)


def test_an_answer_after_the_time_limit_changes_nothing_but_its_lines_are_kept(driver: Driver) -> None:
    ended = driver.run("hangs_and_tidies", timeout_sec=0.2)
    assert ended.status_code is StatusCode.TIME_LIMIT
    assert ended.result is None
    assert driver.texts(ended.delivery) == ["begun", "tidied"]


def test_a_handler_that_ignores_sigterm_is_killed_after_the_grace(driver: Driver) -> None:
    ended = driver.run("hangs_deaf", timeout_sec=0.2)
    assert ended.status_code is StatusCode.TIME_LIMIT
    assert is_gone(driver, ended)


@pytest.mark.parametrize("grace_sec", [0.0, 5.0])
def test_a_cancelled_run_ends_499(driver: Driver, grace_sec: float) -> None:
    delivery = driver.begin("hangs")
    driver.said(delivery, "begun")
    assert driver.pool.kill(delivery, StatusCode.CANCELLED, "by its owner", grace_sec=grace_sec)
    assert not driver.pool.kill(delivery, StatusCode.CANCELLED, "again")
    ended = driver.ended(delivery)
    assert ended.status_code is StatusCode.CANCELLED
    assert ended.error is not None
    assert ended.error.message == "by its owner"
    assert is_gone(driver, ended)


def test_a_run_cancelled_while_it_waits_never_starts(driver: Driver) -> None:
    running = driver.begin("hangs", concurrency=1)
    waiting = driver.begin("hangs", concurrency=1)
    driver.said(running, "begun")
    assert driver.pool.kill(waiting, StatusCode.CANCELLED, "not needed")
    ended = driver.ended(waiting)
    assert (ended.status_code, ended.started_at_ms, ended.instance) == (StatusCode.CANCELLED, None, "")
    assert driver.pool.kill(running, StatusCode.CANCELLED, "nor this")
    driver.ended(running)


def test_killing_all_gives_every_open_run_its_verdict(driver: Driver) -> None:
    deliveries = [driver.begin("hangs", concurrency=2) for _ in range(4)]
    driver.said(deliveries[0], "begun")
    driver.pool.kill_all(StatusCode.INSTANCE_LOST, "cut off")
    assert {driver.ended(each).status_code for each in deliveries} == {StatusCode.INSTANCE_LOST}
    assert driver.pool.open_runs == 0


def test_more_memory_than_allowed_ends_434(driver: Driver) -> None:
    ended = driver.run("uses_memory", {"bytes": 100 * 1024 * 1024}, memory_bytes=64 * 1024 * 1024)
    assert ended.status_code is StatusCode.MEMORY_LIMIT
    assert is_gone(driver, ended)


def test_after_an_exceptional_end_the_next_run_has_a_fresh_process_and_folder(driver: Driver) -> None:
    before = result_of(driver.run("count", name="f"))
    driver.run("raises", name="f2")
    delivery = driver.begin("count", name="f")
    assert result_of(driver.ended(delivery))["pid"] == before["pid"]  # another function's end does not matter
    os.kill(before["pid"], 9)
    driver.gone(before["pid"])
    after = result_of(driver.run("count", name="f"))
    assert after["runs"] == 1
    assert after["pid"] != before["pid"]
    assert after["folder"] != before["folder"]
    driver.until(lambda: not Path(before["folder"]).exists(), "the removal of its folder")


@pytest.mark.parametrize("then", ["hang", "exit", "raise"])
def test_no_child_of_a_child_survives_an_exceptional_end(driver: Driver, then: str) -> None:
    delivery = driver.begin("leaves_a_family", {"then": then}, timeout_sec=3.0)
    driver.said(delivery, "family founded")
    if then == "hang":
        driver.until(lambda: len(driver.processes()) >= FAMILY, "the whole family")
    ended = driver.ended(delivery)
    assert ended.status_code in (433, 439, 430)
    assert len(driver.processes()) == 1  # the zygote


def test_a_family_left_by_a_run_that_returned_goes_with_its_instance(tmp_path: Path) -> None:
    with pool(tmp_path, idle_sec=0.5) as driver:
        result_of(driver.run("leaves_a_family", {"then": "return"}))
        assert len(driver.processes()) > 2
        driver.until(lambda: not driver.processes(), "the retirement of everything")


def test_a_handler_that_forks_and_returns_twice_answers_once(driver: Driver) -> None:
    ended = driver.run("forks_and_returns_twice")
    assert result_of(ended) == "parent"
    assert "WARNING logged by the child" in driver.texts(ended.delivery)
    assert result_of(driver.run("forks_and_returns_twice")) == "parent"


def test_hundreds_of_waiting_runs_all_end_and_never_more_than_allowed_run_at_once(driver: Driver) -> None:
    deliveries = [driver.begin("count", concurrency=2) for _ in range(300)]
    instances = {result_of(driver.ended(each))["pid"] for each in deliveries}
    assert len(instances) <= 2


def test_several_functions_run_at_once_and_wait_for_each_other_in_turn(driver: Driver) -> None:
    driver.run("count", name="b")
    first = [driver.begin("count", name="a", concurrency=2) for _ in range(2_000)]
    second = driver.begin("count", name="b")
    driver.ended(second)
    assert driver.pool.open_runs > 0
    for each in first:
        driver.ended(each)


def test_a_stopped_pool_takes_no_more_runs_and_finishes_those_it_has(driver: Driver) -> None:
    delivery = driver.begin("echo", 1)
    driver.pool.stop()
    with pytest.raises(PoolStopped):
        driver.begin("echo", 2)
    assert result_of(driver.ended(delivery)) == 1


def test_many_more_functions_than_instances_may_live_all_get_their_turn(driver: Driver) -> None:
    deliveries = [driver.begin("echo", number, name=f"f{number}") for number in range(8)]
    assert [result_of(driver.ended(each)) for each in deliveries] == list(range(8))


def test_nothing_is_left_open_after_a_hundred_exceptional_ends(driver: Driver) -> None:
    driver.run("raises")
    before = len(os.listdir("/proc/self/fd"))
    for delivery in [driver.begin("raises", concurrency=2) for _ in range(100)]:
        driver.ended(delivery)
    driver.until(lambda: not driver.pool.crews[("raises", "v1")].members, "the end of all instances")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_pool_can_be_ended_in_the_middle_of_its_runs(tmp_path: Path) -> None:
    with pool(tmp_path) as driver:
        running, _ = driver.begin("hangs", concurrency=1), driver.begin("hangs", concurrency=1)
        driver.said(running, "begun")


def test_a_run_that_waits_for_its_instance_starts_only_once_the_executor_may_hand_over_again(tmp_path: Path) -> None:
    """It was handed over before the executor fell silent; by now it may have an InstanceLost verdict."""
    may, asked = False, 0

    def may_start() -> bool:
        nonlocal asked
        asked += 1
        return may

    with pool(tmp_path, may_start=may_start) as driver:
        held = driver.begin("echo", 1)
        driver.until(lambda: asked >= 5, "the pool asking again and again")
        assert not any(isinstance(event, RunStarted) for event in driver.events)
        may = True
        assert driver.ended(held).status_code is StatusCode.OK
