"""What many runs have shown together: from the lines that `--report` appended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from processor.core.errors import HeadraceError
from processor.ops.chaos.outcome import WANTED

#: Of each counter in WANTED, over all runs of a report.
OFTEN = 20
#: What all runs of a report together should come to.
FAULTS, EVENTS = 5_000, 1_000_000
_NOTES, _NOTE_CHARS = 10, 160


class ReportUnreadable(HeadraceError):
    """A line of the report is none of a run of chaos."""

    remedy = "Give a file that `headrace chaos --seed N --report FILE` has written."

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(f"{path}, line {line}: {why}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    runs: int
    minutes: float
    #: Of runs that were not ok: transport and seed.
    failed: Sequence[str]
    faults: int
    by_fault: Mapping[str, int]
    near_a_fault: int
    lost: int
    started_twice: int
    two_verdicts: int
    sometimes: Mapping[str, int]
    seeds: Mapping[str, Sequence[int]]
    #: Of the counters that must not stay near 0: those that did.
    rare: Mapping[str, int]

    @property
    def ok(self) -> bool:
        return bool(self.runs) and not self.failed

    def document(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__} | {"ok": self.ok}


def append_run(path: Path, document: Mapping[str, Any]) -> None:
    """Without its plan, which the options stand for, and with short notes: many runs fit into one file."""
    kept = {name: value for name, value in document.items() if name != "plan"}
    kept["notes"] = [str(note).splitlines()[0][:_NOTE_CHARS] for note in document.get("notes", ())][:_NOTES]
    with path.open("ab") as file:
        file.write(orjson.dumps(kept) + b"\n")


def read_runs(path: Path) -> list[dict[str, Any]]:
    """Raises ReportUnreadable, OSError."""
    runs = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            run = orjson.loads(line)
            runs.append({**run, "broken": {each["id"]: each["broken"] for each in run["invariants"]}})
        except (ValueError, KeyError, TypeError) as error:
            raise ReportUnreadable(path, number, repr(error)) from error
    return runs


def figures_of(runs: Sequence[Mapping[str, Any]]) -> Figures:
    seeds: dict[str, list[int]] = {}
    sometimes = _sum(run["sometimes"] for run in runs)
    for run in runs:
        seeds.setdefault(_kind(run), []).append(run["seed"])
    return Figures(
        runs=len(runs),
        minutes=round(sum(run["minutes"] for run in runs), 2),
        failed=tuple(f"{_kind(run)} seed {run['seed']}" for run in runs if not run["ok"]),
        faults=sum(run["faults"] for run in runs),
        by_fault=_sum(run["by_fault"] for run in runs),
        near_a_fault=sum(run["near_a_fault"] for run in runs),
        lost=_broken(runs, "I1", "C1"),
        started_twice=_broken(runs, "I3", "I6"),
        two_verdicts=_broken(runs, "I2"),
        sometimes=sometimes,
        rare={name: sometimes.get(name, 0) for name in WANTED if sometimes.get(name, 0) < OFTEN},
        seeds={kind: sorted(each) for kind, each in sorted(seeds.items())},
    )


def _kind(run: Mapping[str, Any]) -> str:
    if run["transport"] != "kafka":
        return str(run["transport"])
    nodes = run.get("nodes", 1)
    return f"kafka/{run['group_protocol']}" + (f"/{nodes} nodes" if nodes > 1 else "")


def _broken(runs: Sequence[Mapping[str, Any]], *ids: str) -> int:
    return sum(run["broken"].get(each, 0) for run in runs for each in ids)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))
