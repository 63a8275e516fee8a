"""Nothing that a function started outlives its executor, its guard, its zygote or its idle time."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.core.clock import SystemClock
from processor.core.run import StatusCode
from processor.executor.deadline import EndPolicy
from processor.executor.options import PoolOptions
from processor.executor.pool import InstancePool
from tests.integration import tiny_executor
from tests.integration.instances import FAMILY, LIMIT_SEC, Driver, parent_of, pid_of, pool, result_of


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    with pool(tmp_path) as driver:
        yield driver


class Executor:
    """A process with a pool, a guard, a zygote, an instance and a family of orphans below it."""

    def __init__(self, folder: Path, pet_limit_sec: float) -> None:
        self.data_dir = folder / "data"
        self.lock_file = folder / "lock"
        program = str(Path(tiny_executor.__file__))
        self.process = subprocess.Popen(
            [sys.executable, program, str(self.data_dir), str(self.lock_file), str(pet_limit_sec)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.guard_pid = int(self.process.stdout.readline())
        self.guard_fd = os.pidfd_open(self.guard_pid)
        give_up_at = time.monotonic() + LIMIT_SEC
        while len(self.processes()) < FAMILY:
            assert time.monotonic() < give_up_at

    def guard_has_ended(self) -> bool:
        return bool(select.select([self.guard_fd], [], [], LIMIT_SEC)[0])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert self.guard_has_ended()
        os.close(self.guard_fd)

    def processes(self) -> list[int]:
        mark = f"TMPDIR={self.data_dir}/".encode()
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if mark in _environ(pid)]

    def lock_is_free(self) -> bool:
        with self.lock_file.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def test_after_a_killed_executor_no_process_and_no_folder_is_left(tmp_path: Path) -> None:
    executor = Executor(tmp_path, pet_limit_sec=1000.0)
    try:
        assert not executor.lock_is_free()
        executor.process.send_signal(signal.SIGKILL)
        assert executor.guard_has_ended()
        assert executor.processes() == []
        assert list((executor.data_dir / "instances").iterdir()) == []
        executor.process.wait()
        assert executor.lock_is_free()
    finally:
        executor.close()


def test_the_name_lock_is_held_until_all_instances_of_a_killed_executor_are_gone(tmp_path: Path) -> None:
    executor = Executor(tmp_path, pet_limit_sec=1000.0)
    try:
        os.kill(executor.guard_pid, signal.SIGSTOP)
        executor.process.kill()
        executor.process.wait()
        assert executor.processes()
        assert not executor.lock_is_free()
        os.kill(executor.guard_pid, signal.SIGCONT)
        with executor.lock_file.open("w") as file:
            alarm = threading.Timer(LIMIT_SEC, os._exit, (1,))
            alarm.start()
            fcntl.flock(file, fcntl.LOCK_EX)
            alarm.cancel()
            assert executor.processes() == []
    finally:
        executor.close()


def test_a_stopped_executor_loses_its_instances_after_the_limit(tmp_path: Path) -> None:
    executor = Executor(tmp_path, pet_limit_sec=2.0)
    try:
        executor.process.send_signal(signal.SIGSTOP)
        assert executor.guard_has_ended()
        assert executor.processes() == []
    finally:
        executor.close()


def test_a_killed_guard_ends_all_runs_500_leaves_nothing_and_is_replaced(driver: Driver) -> None:
    delivery = driver.begin("leaves_a_family", {"then": "hang"})
    driver.said(delivery, "family founded")
    driver.until(lambda: len(driver.processes()) >= FAMILY, "the whole family")
    family = driver.processes()
    first_guard = driver.pool.guard_pid
    os.kill(first_guard, signal.SIGKILL)
    assert driver.ended(delivery).status_code is StatusCode.INSTANCE_LOST
    driver.until(lambda: not set(family) & set(driver.processes()), "the end of the family")
    assert result_of(driver.run("echo", 1)) == 1
    assert driver.pool.guard_pid not in (0, first_guard)


def test_runs_given_while_there_is_no_guard_wait_for_the_next(driver: Driver) -> None:
    result_of(driver.run("echo", 1))
    os.kill(driver.pool.guard_pid, signal.SIGKILL)
    driver.until(lambda: driver.pool.guard_pid == 0, "the loss of the guard")
    assert result_of(driver.run("echo", 2)) == 2


def test_a_killed_zygote_ends_its_runs_500_and_is_replaced(driver: Driver) -> None:
    delivery = driver.begin("leaves_a_family", {"then": "hang"}, concurrency=1)
    waiting = driver.begin("workloads:leaves_a_family", {"then": "return"}, name="leaves_a_family", concurrency=1)
    driver.said(delivery, "family founded")
    before = driver.processes()
    os.kill(parent_of(pid_of(driver.started(delivery))), signal.SIGKILL)
    assert driver.ended(delivery).status_code is StatusCode.INSTANCE_LOST
    assert not set(before) & set(driver.processes())
    assert driver.ended(waiting).status_code is StatusCode.OK


def test_a_stopped_zygote_is_given_up_with_its_run(tmp_path: Path) -> None:
    with pool(tmp_path, end=EndPolicy(grace_sec=0.1, give_up_sec=0.5)) as driver:
        delivery = driver.begin("hangs", timeout_sec=0.5)
        driver.said(delivery, "begun")
        os.kill(parent_of(pid_of(driver.started(delivery))), signal.SIGSTOP)
        assert driver.ended(delivery).status_code is StatusCode.TIME_LIMIT
        assert result_of(driver.run("echo", 1)) == 1


def test_idle_instances_and_zygotes_retire_and_come_back_when_needed(tmp_path: Path) -> None:
    with pool(tmp_path, idle_sec=0.3) as driver:
        first = result_of(driver.run("count"))
        driver.until(lambda: not driver.processes(), "the retirement")
        driver.until(lambda: not Path(first["folder"]).exists(), "the removal of its folder")
        second = result_of(driver.run("count"))
        assert (second["runs"], second["pid"] == first["pid"]) == (1, False)


def test_signals_from_a_terminal_reach_neither_guard_nor_zygote(driver: Driver) -> None:
    first = driver.run("count")
    zygote = parent_of(pid_of(first))
    for pid in (driver.pool.guard_pid, zygote):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
    assert result_of(driver.run("count"))["runs"] == 2
    assert parent_of(zygote) == driver.pool.guard_pid


def test_a_pool_removes_the_folders_of_pools_that_no_guard_could_tidy_up(tmp_path: Path) -> None:
    left = tmp_path / "instances" / "left"
    (left / "z1").mkdir(parents=True)
    with pool(tmp_path) as first:
        first.until(lambda: not left.exists(), "the removal of the abandoned folder")
        result_of(first.run("count"))
        second = InstancePool(options=PoolOptions(data_dir=tmp_path), clock=SystemClock())
        second.start()
        assert second.join(LIMIT_SEC)
        assert Path(result_of(first.run("count"))["folder"]).exists()  # a living pool's folder is left alone
