from __future__ import annotations

import pytest

from processor.cli.app import run
from processor.cli.errors import Exit
from tests.unit.test_cli import HEAVY, imported_by

NOWHERE = ["--gateway", "http://127.0.0.1:1"]


@pytest.mark.parametrize("arguments", [["triggers", "ls"], ["triggers", "fire", "x"], ["rejected", "redrive", "0-1"]])
def test_commands_that_only_ask_load_nothing_heavy(arguments: list[str]) -> None:
    modules = imported_by(*arguments, *NOWHERE)
    assert f"processor.cli.{arguments[0]}" in modules
    assert modules.isdisjoint(HEAVY)
    assert not any(each.startswith("triggers.") for each in modules)


@pytest.mark.parametrize("arguments", [["rejected", "redrive"], ["rejected", "discard"]])
def test_to_name_no_record_is_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, *NOWHERE]) == Exit.USAGE
    assert "headrace rejected ls" in capsys.readouterr().err
