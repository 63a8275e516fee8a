"""The suite is worth what it notices: with each of these bugs in the product a test of it fails, and says why."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.planted import patching
from tests.planted.__main__ import PAGE, chosen, rows_wanted, without_seconds
from tests.planted.catalogue import PLANTS, Catcher, Plant
from tests.planted.catching import FAILED, run
from tests.planted.children import planted_command

ALL = list(chosen([], slow=True))
#: Tests that need nothing but this machine and no time.
QUICK = [catcher.test for _, catcher in ALL if not (catcher.slow or catcher.needs_kafka)]


def case(plant: Plant, catcher: Catcher) -> object:
    marks = [pytest.mark.timeout(300 if catcher.slow else 120)]
    if catcher.needs_kafka:
        marks.append(pytest.mark.kafka)
    if catcher.slow:
        marks.append(pytest.mark.slow)
    return pytest.param(plant, catcher, id=f"{plant.name}-{catcher.test.rpartition('::')[2]}", marks=marks)


@pytest.fixture
def brokers(request: pytest.FixtureRequest, catcher: Catcher) -> str | None:
    return request.getfixturevalue("kafka_bootstrap") if catcher.needs_kafka else None


@pytest.mark.parametrize(("plant", "catcher"), [case(*each) for each in ALL])
def test_the_suite_turns_red(plant: Plant, catcher: Catcher, brokers: str | None) -> None:
    ran = run([catcher.test], plant=plant.name, kafka=brokers)
    assert ran.code == FAILED, ran.text
    assert re.search(catcher.says, ran.reasons), ran.text


@pytest.mark.timeout(120)
def test_what_catches_the_bugs_passes_without_them() -> None:
    ran = run(QUICK, plant=None)
    assert ran.code == 0, ran.text


def test_every_bug_is_caught_by_a_test_that_is_not_slow() -> None:
    assert all(any(not catcher.slow for catcher in plant.catchers) for plant in PLANTS)


def test_the_page_names_every_bug_and_what_catches_it() -> None:
    assert without_seconds(PAGE.read_text())[1:] == rows_wanted(ALL), "python -m tests.planted --all --write"


def test_a_plant_whose_place_is_gone_from_the_product_says_so() -> None:
    with pytest.raises(patching.NothingToReplace, match="nowhere"):
        patching.replace(patching, "nowhere", None)


def test_processes_of_a_planted_process_are_planted() -> None:
    command = planted_command("bug", [sys.executable, "-m", "processor", "dev"])
    assert command == [sys.executable, "-m", "tests.planted.run", "bug", "processor", "dev"]
    assert planted_command("bug", command) == command
    assert planted_command("bug", [sys.executable, "-m", "flask"]) == [sys.executable, "-m", "flask"]
    assert planted_command("bug", ["sleep", "1"]) == ["sleep", "1"]


def test_the_headrace_command_can_be_run_with_a_bug() -> None:
    command = planted_command(PLANTS[0].name, [sys.executable, "-m", "processor", "--version"])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
