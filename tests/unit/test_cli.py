from __future__ import annotations

import subprocess
import sys

import pytest

from processor.cli import app
from processor.cli.app import run
from processor.cli.errors import Exit

#: A command that only asks the gateway must not load what runs it.
HEAVY = ("pydantic", "uvicorn", "uvloop", "confluent_kafka", "aiokafka", "asyncinotify", "processor.transport.embedded")


def imported_by(*arguments: str) -> set[str]:
    code = "import sys; from processor.cli.app import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=30)
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["invoke", "hello", "--gateway", "http://127.0.0.1:1"]])
def test_help_and_invoke_load_nothing_heavy(arguments: list[str]) -> None:
    modules = imported_by(*arguments)
    assert "processor.cli.app" in modules
    assert modules.isdisjoint(HEAVY)


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == Exit.OK
    text = capsys.readouterr().out
    for name in (*app._COMMANDS, *app._NOUNS, "Exit codes:"):
        assert name in text


def commands() -> list[list[str]]:
    nouns = [[noun, verb] for noun, (_, verbs) in app._NOUNS.items() for verb in verbs]
    return [[name] for name in app._COMMANDS] + nouns


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_of_its_own(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == Exit.OK
    assert f"Usage: headrace {' '.join(command)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["invoke"], "NAME requires an argument"),
        (["invok", "hello"], 'Did you mean "invoke"'),
        (["start", "cook"], "Choose from"),
        (["runs", "ls", "--stats", "x"], "Unknown option"),
        (["invoke", "hello", "--data", "{name: x}"], "is not JSON"),
        (["invoke", "hello", "--data", "@no/such/file"], "No such file"),
        (["invoke", "hello", "--gateway", "ftp://x"], "gateway.url 'ftp://x'"),
        (["start", "gateway"], "single process"),
        (["serve"], "--embedded"),
        (["config", "check", "--functions", "no.yaml"], "no.yaml:1: cannot be read"),
        (["deploy", "--functions", "no.yaml"], "no.yaml:1: cannot be read"),
        (["dev", "--port", "70000"], "--port: gateway.port '70000' is out of range"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_told_with_a_remedy_and_ends_with_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == Exit.USAGE
    error = capsys.readouterr().err
    assert told in error
    assert "  -> " in error


def test_a_gateway_that_is_not_there_is_told_with_its_address_and_ends_with_3(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["runs", "ls", "--gateway", "http://127.0.0.1:1"]) == Exit.UNREACHABLE
    assert "the gateway at http://127.0.0.1:1 is not reachable: connection refused" in capsys.readouterr().err
