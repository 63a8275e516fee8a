"""docs/faults.md says what covers each fault: that has to exist."""

from __future__ import annotations

import re
from pathlib import Path

from processor.ops.chaos.plan import Fault

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    assert named - defined == set()


def test_every_fault_of_a_plan_has_its_row() -> None:
    rows = " ".join(re.findall(r"chaos: [^|·]*", PAGE))
    assert [each.value for each in Fault if each.value not in rows] == []


def test_no_row_is_without_cover() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| fault |")]
    assert [row for row in rows if "`test_" not in row and "chaos: " not in row] == []
