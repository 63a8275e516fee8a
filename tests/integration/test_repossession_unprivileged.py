"""The same adversaries where the executor has no right beyond those of its user, and control groups are not to be had.

The tests of the other files run in a process of their own without capabilities. Its user stays the one who runs the
tests: a user of its own need not be able to read this checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = [f"tests/integration/test_repossession{each}.py" for each in ("", "_folders", "_after_death")]
FEW = ("a_deaf_daemon", "a_stranger", "no_adoption", "odd_files", "unchangeable_files", "mounts_inside")
SLOW = ("thousands_of_files", "a_deep_folder", "wide_trees")


def run_without_rights(folder: Path, chosen: str) -> str:
    """Returns what pytest printed last. Fails when a test does, or when all of them were left out."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() or setpriv is None:
        pytest.skip("without rights already: these tests run so anyway" if os.geteuid() else "there is no setpriv here")
    command = [setpriv, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", sys.executable, "-m", "pytest"]
    options = ["-q", "-p", "no:cacheprovider", "--basetemp", str(folder / "tests"), "-k", chosen]
    done = subprocess.run([*command, *options, *FILES], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-1_000:]
    return done.stdout.splitlines()[-1]


def test_a_few_adversaries_are_repossessed_without_any_right_of_root(tmp_path: Path) -> None:
    said = run_without_rights(tmp_path, f"sweep and raises and ({' or '.join(FEW)}) or without_rights")
    assert said.startswith(f"{len(FEW) + 1} passed"), said


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_adversaries_are_repossessed_without_any_right_of_root(tmp_path: Path) -> None:
    assert " passed" in run_without_rights(tmp_path, f"not cgroup and not ({' or '.join(SLOW)})")
