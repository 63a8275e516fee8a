"""`headrace chaos` as a stranger runs it. The short runs have seeds that were looked at once: each kills what runs
functions; the long ones meet most faults there are.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.ops.chaos.site_checks import left_processes

#: A run takes its minutes and what drain and audit take.
LIMIT_SEC = 900.0
SHORT_MINUTES = "0.1"
LONG_MINUTES = "2"
MAIN = [sys.executable, "-m", "processor", "chaos"]


def chaos(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, what it reports, and all that it said."""
    done = subprocess.run(
        [*MAIN, *arguments, "-o", "json"], capture_output=True, text=True, timeout=LIMIT_SEC, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, orjson.loads(done.stdout), f"{done.stdout}\n{done.stderr}"


def check(report: tuple[int, dict[str, Any], str]) -> None:
    code, document, told = report
    assert document["ok"], told
    assert code == 0
    assert {each["id"] for each in document["invariants"] if each["checked"]} >= {"I1", "I2", "I3", "I5", "I9", "C1"}
    assert document["near_a_fault"] > 0
    assert document["sometimes"]["instance_lost"] > 0


@pytest.mark.timeout(150)
def test_a_short_run_on_the_embedded_log_keeps_every_promise() -> None:
    check(chaos("--seed", "1", "--minutes", SHORT_MINUTES, "--no-disk"))


@pytest.mark.timeout(200)
def test_a_short_run_on_kafka_keeps_every_promise(kafka_bootstrap: str) -> None:
    kafka = ("--transport", "kafka", "--bootstrap-servers", kafka_bootstrap)
    check(chaos("--seed", "1", "--minutes", SHORT_MINUTES, "--no-disk", *kafka))


@pytest.mark.slow
@pytest.mark.timeout(1_000)
@pytest.mark.parametrize("seed", ["11", "12"])
def test_a_long_run_on_the_embedded_log_keeps_every_promise(seed: str) -> None:
    check(chaos("--seed", seed, "--minutes", LONG_MINUTES))


@pytest.mark.slow
@pytest.mark.timeout(1_000)
@pytest.mark.parametrize(("seed", "protocol"), [("21", "consumer"), ("22", "classic")])
def test_a_long_run_on_a_broker_of_its_own_keeps_every_promise(seed: str, protocol: str) -> None:
    check(chaos("--seed", seed, "--minutes", LONG_MINUTES, "--transport", "kafka", "--group-protocol", protocol))


@pytest.mark.slow
@pytest.mark.timeout(1_000)
def test_a_long_run_on_three_brokers_that_lose_their_leaders_keeps_every_promise() -> None:
    report = chaos("--seed", "44", "--minutes", LONG_MINUTES, "--transport", "kafka", "--nodes", "3")
    check(report)
    assert report[1]["by_fault"]["kill leader of"] > 0


@pytest.mark.timeout(120)
def test_a_run_that_is_told_to_stop_leaves_no_process_behind() -> None:
    command = [*MAIN, "--seed", "1", "--minutes", "1", "--no-disk", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        folder = next(line.split(" ")[-1].strip() for line in running.stderr if line.startswith("up, in "))
        try:
            assert any("serve" in each for each in left_processes(Path(folder)))
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 130
            assert left_processes(Path(folder)) == []
        finally:
            running.kill()
            shutil.rmtree(folder)


def test_the_plan_can_be_had_without_running_it() -> None:
    done = subprocess.run(
        [*MAIN, "--seed", "7", "--plan", "--no-disk"], capture_output=True, text=True, timeout=30, check=True
    )
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith("headrace ")
    assert "seed=7" in first
    assert second.strip().startswith("2.00 s  kill server")
