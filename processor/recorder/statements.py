from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

_SQL = resources.files("processor.recorder") / "sql"
_MIGRATION = re.compile(r"(\d{3})_\w+\.sql")


def load_statements() -> Mapping[str, str]:
    """The named statements of sql/statements.sql."""
    blocks = re.split(r"^-- name: ", read_sql("statements.sql"), flags=re.MULTILINE)[1:]
    return {name: body.strip().rstrip(";") for name, _, body in (block.partition("\n") for block in blocks)}


def load_migrations() -> list[tuple[int, str]]:
    """(number, script) of every sql/NNN_name.sql, in order."""
    found = [(match, each) for each in _SQL.iterdir() if (match := _MIGRATION.fullmatch(each.name))]
    return sorted((int(match[1]), each.read_text("utf-8")) for match, each in found)


def read_sql(name: str) -> str:
    return (_SQL / name).read_text("utf-8")
