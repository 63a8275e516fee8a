"""After the verdict: no process, no folder, no descriptor, no port. Whatever the function did before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processor.core.run import StatusCode
from processor.executor.abstract import RunEnded
from processor.executor.containment import Containment, NoControlGroups
from processor.executor.deadline import EndPolicy
from tests.functions.adversarial import TRICKS
from tests.integration.adversary import Site
from tests.integration.instances import Driver, parent_of, pid_of, pool, result_of

MAX_PROCESSES = 60
KILLERS = {"kills_its_zygote", "kills_its_guard"}
#: Their folders take long to remove; the verdict waits for half a second of it.
MUCH = {"a_deep_folder", "thousands_of_files"}
ENDS = {"raise": StatusCode.HANDLER_RAISED, "exit": StatusCode.PROCESS_EXITED, "hang": StatusCode.TIME_LIMIT}


@pytest.fixture(scope="module", params=["cgroup", "sweep"])
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    folder = tmp_path_factory.mktemp(request.param)
    containment = Containment(request.param)
    policy = EndPolicy(grace_sec=0.1, give_up_sec=5.0)
    try:
        with pool(folder, containment=containment, max_processes=MAX_PROCESSES, end=policy) as driver:
            yield driver
    except NoControlGroups as reason:
        pytest.skip(f"the host has no cgroup v2 that this user may write to: {reason}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def begin(driver: Driver, site: Site, trick: str, then: str, **code: Any) -> str:
    options = {"name": f"{trick}-{then}", "timeout_sec": 20.0, **code}
    return driver.begin("adversarial:handler", site.event(trick, then), **options)


def check(driver: Driver, site: Site, ended: RunEnded, *, much: bool = False) -> None:
    """Right after the verdict, without waiting for anything but the removal of a folder with very much in it."""
    assert site.survivors() == []
    if much:
        driver.until(lambda: not site.folder_is_left(), "the removal of its folder")
    assert not site.folder_is_left()
    assert (site.precious / "file").exists()
    assert pid_of(ended) not in driver.processes()


def is_too_many(ended: RunEnded) -> bool:
    """Without control groups, processes over the limit are not refused but counted."""
    return ended.error is not None and ended.error.type == "Runtime.TooManyProcesses"


@pytest.mark.parametrize("trick", sorted(TRICKS.keys() - KILLERS - {"deaf_in_c", "signals_its_group"}))
def test_nothing_is_left_of_an_adversary_that_raises(driver: Driver, site: Site, trick: str) -> None:
    delivery = begin(driver, site, trick, "raise")
    ended = driver.ended(delivery)
    assert ended.status_code is StatusCode.HANDLER_RAISED
    check(driver, site, ended, much=trick in MUCH)
    if trick == "an_open_port":
        assert site.port_is_free()


@pytest.mark.parametrize("trick", ["a_deaf_daemon", "a_crowd_of_runaways", "a_fork_bomb", "threads_in_c", "odd_files"])
@pytest.mark.parametrize("then", ["hang", "exit"])
def test_nothing_is_left_of_an_adversary_that_times_out_or_exits(
    driver: Driver, site: Site, trick: str, then: str
) -> None:
    delivery = begin(driver, site, trick, then, timeout_sec=1.5)
    ended = driver.ended(delivery)
    assert ended.status_code is ENDS[then] or is_too_many(ended)
    check(driver, site, ended)


@pytest.mark.parametrize("trick", ["a_deaf_daemon", "a_stranger", "a_crowd_of_runaways", "deaf_in_c"])
def test_nothing_is_left_of_a_cancelled_adversary(driver: Driver, site: Site, trick: str) -> None:
    delivery = begin(driver, site, trick, "hang")
    driver.said(delivery, "done")
    assert driver.pool.kill(delivery, StatusCode.CANCELLED, "no more")
    ended = driver.ended(delivery)
    assert ended.status_code is StatusCode.CANCELLED
    check(driver, site, ended)


def test_a_handler_stuck_in_c_with_signals_blocked_is_killed_after_the_grace(driver: Driver, site: Site) -> None:
    ended = driver.ended(begin(driver, site, "deaf_in_c", "hang", name="short", timeout_sec=0.5))
    assert ended.status_code is StatusCode.TIME_LIMIT
    check(driver, site, ended)


def test_signals_to_its_whole_group_end_the_instance_only(driver: Driver, site: Site) -> None:
    ended = driver.ended(begin(driver, site, "signals_its_group", "hang"))
    assert ended.status_code is StatusCode.PROCESS_EXITED
    check(driver, site, ended)


@pytest.mark.parametrize("trick", sorted(KILLERS))
def test_nothing_is_left_of_an_adversary_that_kills_those_above_it(driver: Driver, site: Site, trick: str) -> None:
    ended = driver.ended(begin(driver, site, trick, "hang"))
    assert ended.status_code is StatusCode.INSTANCE_LOST
    assert site.survivors() == []
    driver.until(lambda: not site.folder_is_left(), "the removal of its folder")
    assert result_of(driver.run("echo", 1, name="next")) == 1


def test_a_family_that_outlives_its_run_goes_when_its_instance_does(driver: Driver, site: Site) -> None:
    ended = driver.ended(begin(driver, site, "a_crowd_of_runaways", "return"))
    assert ended.status_code is StatusCode.OK
    os.kill(pid_of(ended), 9)
    driver.gone(pid_of(ended))
    check(driver, site, ended)


def test_a_fork_bomb_leaves_its_neighbours_alone(driver: Driver, site: Site) -> None:
    neighbour = driver.begin("count", name="neighbour")
    assert driver.ended(neighbour).status_code is StatusCode.OK
    before = pid_of(driver.ended(neighbour))
    delivery = begin(driver, site, "a_fork_bomb", "hang")
    driver.said(delivery, "done")
    runs = [driver.run("count", name="neighbour") for _ in range(20)]
    assert {pid_of(each) for each in runs} == {before}
    driver.pool.kill(delivery, StatusCode.CANCELLED, "enough")
    check(driver, site, driver.ended(delivery))


def test_a_hundred_ends_leave_no_descriptor_open_anywhere(driver: Driver, tmp_path: Path) -> None:
    def open_descriptors() -> list[int]:
        zygote = parent_of(pid_of(driver.ended(begin(driver, sites[0], "a_daemon", "return", name="descriptors"))))
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in (os.getpid(), driver.pool.guard_pid, zygote)]

    sites = []
    for number in range(20):
        (tmp_path / str(number)).mkdir()
        sites.append(Site(tmp_path / str(number)))
    before = open_descriptors()
    for each in sites:
        for trick in ("a_daemon", "a_deep_chain", "an_open_port", "odd_files"):
            driver.ended(begin(driver, each, trick, "raise", name="descriptors"))
            assert each.survivors() == []
    assert open_descriptors() == before
