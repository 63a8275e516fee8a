"""What commands print: tables for people, one JSON document for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

#: Colours of the states in a terminal.
_STYLES = {
    "FINISHED": "green",
    "FAILED": "red",
    "ABORTED": "yellow",
    "RUNNING": "cyan",
    "ok": "green",
    "warning": "yellow",
    "refused": "red",
}


def print_json(document: Any) -> None:
    print(json.dumps(document, ensure_ascii=False, indent=None if not sys.stdout.isatty() else 2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """In a terminal with rich; elsewhere in plain columns, for grep and awk."""
    texts = [[_text(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(columns, texts)
        return
    widths = [max(len(row[at]) for row in [list(columns), *texts]) for at in range(len(columns))]
    for row in [[each.upper() for each in columns], *texts]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_members(document: dict[str, Any]) -> None:
    """One member per line: name, then value; empty ones are left out."""
    width = max((len(name) for name in document), default=0)
    for name, value in document.items():
        if value not in (None, "", [], {}):
            print(f"{name.ljust(width)}  {_member(value)}")


def verdict_line(run: dict[str, Any]) -> str:
    """FAILED 439 Runtime.ExitError: signal: killed"""
    words = [run["status"], *([str(run["status_code"])] if run["status_code"] is not None else [])]
    error = run.get("error")
    line = " ".join(words)
    return f"{line} {error['type']}: {_first_line(error['message'])}" if error else line


def seconds_of(run: dict[str, Any]) -> str:
    duration = run.get("duration_ms")
    return "" if duration is None else f"{duration / 1000:.3f} s"


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell.partition(" ")[0], "")) for cell in row))
    Console().print(table)


def _text(value: object) -> str:
    return "" if value is None else str(value).replace("\n", "\\n")


def _member(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
