from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.cli.layers import SettingsInvalid, load_settings
from processor.cli.settings import Settings
from processor.core import failpoints
from processor.core.failpoints import FAILPOINTS, VARIABLE, Armed, UnknownFailpoint, arm, failpoint
from processor.ops.doctor import Level, examine

ROOT = Path(__file__).parents[2]
#: A process has one history, in SQLite or in PostgreSQL.
IN_EACH_STORE = Counter({"recorder.commit.before": 2})


def calls() -> Iterator[str]:
    """The name in each call of `failpoint` in the product; what is no literal is a name too, and in no table."""
    for path in [*ROOT.glob("processor/**/*.py"), *ROOT.glob("triggers/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and "failpoint" in (ast.unparse(node.func).rpartition(".")[2],):
                yield ast.literal_eval(node.args[0]) if isinstance(node.args[0], ast.Constant) else ast.unparse(node)


def test_each_failpoint_of_the_table_is_in_one_place_of_the_code_and_no_other_is() -> None:
    assert Counter(calls()) == Counter(FAILPOINTS.keys()) | IN_EACH_STORE


def test_no_process_is_armed_by_itself() -> None:
    assert failpoints._armed is None
    for name in FAILPOINTS:
        failpoint(name)


def test_an_armed_process_kills_itself_at_the_passage_that_was_asked_for_and_says_so() -> None:
    program = (
        "from processor.core.failpoints import VARIABLE, arm, failpoint\n"
        "arm({VARIABLE: 'claims.commit.after:3'})\n"
        "for number in range(9):\n"
        "    print(number, flush=True)\n"
        "    failpoint('claims.opened.after')\n"
        "    failpoint('claims.commit.after')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (-9, "0\n1\n2\n")
    assert done.stderr.startswith("reached failpoint claims.commit.after, passage 3: the offset is committed")


def test_without_the_variable_nothing_is_armed() -> None:
    assert arm({}) is None
    assert arm({VARIABLE: ""}) is None
    assert arm({"HEADRACE_FAILPOINT": "claims.commit.after"}) is None


@pytest.mark.parametrize("text", ["claims", "claims.commit.after:0", "claims.commit.after:-1", "claims.commit.after:x"])
def test_what_names_no_failpoint_is_refused_not_ignored(text: str) -> None:
    with pytest.raises(UnknownFailpoint, match="names no failpoint"):
        Armed.parse(text)


def test_no_settings_file_can_arm_one(tmp_path: Path) -> None:
    file = tmp_path / "headrace.toml"
    file.write_text('test_failpoint = "claims.commit.after"\n')
    with pytest.raises(SettingsInvalid):
        load_settings(config=file, environ={})


def test_the_doctor_says_that_a_failpoint_stands_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "claims.commit.after")
    found = next(each for each in examine(Settings(data_dir=tmp_path)) if each.subject == "failpoint")
    assert found.level is Level.REFUSED
    assert VARIABLE in found.remedy
