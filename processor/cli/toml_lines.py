from __future__ import annotations

import re

_TABLE = re.compile(r"\s*\[\s*([^\[\]#]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Where each key and each table of a TOML document stands, 1-based; tomllib does not tell.

    A line inside a multi-line string may be taken for a key: no harm, as nobody asks for that key.
    """
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _parts(header[1])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_parts(key[1])), number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    """sasl."a.b" is (sasl, a, b): names of settings never contain a dot that means anything else."""
    return tuple(part.strip() for part in re.sub(r"[\"']", "", dotted).split("."))
