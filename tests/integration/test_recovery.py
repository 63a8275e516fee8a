from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processor.core.run import Status, StatusCode
from processor.transport.kafka import KafkaTransport
from tests.integration.pipeline import Pipeline, await_start, pipeline, starts

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def line(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Pipeline]:
    transport = KafkaTransport(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)
    with transport, pipeline(transport, tmp_path) as made:
        made.deploy("work", "journal:run", env={"JOURNAL": str(tmp_path / "journal")})
        made.dispatcher()
        yield made


@contextmanager
def executor(bootstrap: str, prefix: str, folder: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.integration.executor_process", bootstrap, prefix, str(folder), name]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


def test_the_runs_of_a_killed_executor_are_closed_once_by_recovery_and_never_run_again(
    line: Pipeline, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    line.recovery()
    journal = tmp_path / "journal"
    with executor(kafka_bootstrap, topic_prefix, tmp_path, "victim") as victim:
        lost = line.submit("work", {"sec": 300.0}, "lost")
        instance = await_start(journal, lost)
        os.kill(victim.pid, signal.SIGKILL)
        after = line.submit("work", {}, "after")
        with executor(kafka_bootstrap, topic_prefix, tmp_path, "other"):
            verdicts = line.wait_for_verdicts([lost, after], timeout_sec=50)
            assert verdicts[lost].status_code is StatusCode.INSTANCE_LOST
            assert verdicts[after].status is Status.FINISHED
            assert starts(journal) == Counter([lost, after])
    assert not Path(f"/proc/{instance}").exists(), "the guard has killed what the executor left behind"


def test_an_executor_closes_what_its_earlier_incarnation_left_as_soon_as_it_boots(
    line: Pipeline, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with executor(kafka_bootstrap, topic_prefix, tmp_path, "same") as first:
        lost = line.submit("work", {"sec": 300.0}, "lost")
        instance = await_start(journal, lost)
        os.kill(first.pid, signal.SIGKILL)
        _await_gone(instance)
        with executor(kafka_bootstrap, topic_prefix, tmp_path, "same"):
            assert line.wait_for_verdicts([lost])[lost].status_code is StatusCode.INSTANCE_LOST
            after = line.submit("work", {}, "after")
            assert line.wait_for_verdicts([after])[after].status is Status.FINISHED
    assert starts(journal) == Counter([lost, after])


def test_a_stopped_executor_that_wakes_after_it_was_declared_dead_starts_nothing_and_its_verdicts_are_void(
    line: Pipeline, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    line.recovery()
    journal = tmp_path / "journal"
    with executor(kafka_bootstrap, topic_prefix, tmp_path, "sleeper") as sleeper:
        lost = line.submit("work", {"sec": 300.0}, "lost")
        await_start(journal, lost)
        os.kill(sleeper.pid, signal.SIGSTOP)
        assert line.wait_for_verdicts([lost], timeout_sec=50)[lost].status_code is StatusCode.INSTANCE_LOST
        os.kill(sleeper.pid, signal.SIGCONT)
        after = line.submit("work", {}, "after")
        assert line.wait_for_verdicts([after], timeout_sec=50)[after].status is Status.FINISHED
    assert starts(journal) == Counter([lost, after])


def _await_gone(pid: int) -> None:
    """The guard needs a moment; a pidfd tells when."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 30)[0], f"{pid} lives on"
    finally:
        os.close(descriptor)
