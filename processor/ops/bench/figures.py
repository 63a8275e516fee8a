"""What a benchmark prints and keeps: one table, one file, one format for all of them (DESIGN 13)."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    #: None: shown for comparison only.
    target: float | None
    better: Literal["higher", "lower"]

    @property
    def ok(self) -> bool:
        if self.target is None:
            return True
        return self.value >= self.target if self.better == "higher" else self.value <= self.target

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "target": self.target,
            "better": self.better,
            "ok": self.ok,
        }


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` (0..1) of the sorted values lie."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def table(figures: list[Figure]) -> str:
    rows = [("figure", "value", "target", "")]
    for each in figures:
        sign = {"higher": ">=", "lower": "<="}[each.better]
        target = "" if each.target is None else f"{sign} {each.target:g}"
        rows.append((each.name, f"{each.value:,.2f} {each.unit}", target, "ok" if each.ok else "SHORT"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {target:>{widths[2]}}  {verdict}".rstrip()
        for name, value, target, verdict in rows
    )


def keep(figures: list[Figure], path: Path) -> None:
    """Adds to what other benchmarks kept: a figure of the same name is replaced."""
    kept: dict[str, Any] = {}
    if path.exists():
        kept = {each["name"]: each for each in orjson.loads(path.read_bytes())["figures"]}
    kept.update((each.name, each.document()) for each in figures)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"box": box(), "figures": list(kept.values())}
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def box() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_1min": os.getloadavg()[0],
    }
