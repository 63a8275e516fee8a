"""The SQL of a history: sql/<dialect>/statements.sql, and its numbered migrations beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Literal

Dialect = Literal["sqlite", "postgres"]
_MIGRATION = re.compile(r"(\d{3})_\w+?(\.each_day)?\.sql")
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Migration:
    number: int
    statements: tuple[str, ...]
    #: To be run for each table of log lines that is there, whose name replaces {table}.
    each_day: bool


@cache
def load_statements(dialect: Dialect) -> Mapping[str, str]:
    """The named statements, and parts of statements, of statements.sql."""
    blocks = re.split(r"^-- name: ", read_sql(dialect, "statements.sql"), flags=re.MULTILINE)[1:]
    return {name: body.strip().rstrip(";") for name, _, body in (block.partition("\n") for block in blocks)}


@cache
def load_migrations(dialect: Dialect) -> tuple[Migration, ...]:
    """Every NNN_name.sql, in order."""
    found = [(match, each.name) for each in _folder(dialect).iterdir() if (match := _MIGRATION.fullmatch(each.name))]
    migrations = [
        Migration(number=int(match[1]), statements=split(read_sql(dialect, name)), each_day=match[2] is not None)
        for match, name in found
    ]
    return tuple(sorted(migrations, key=lambda each: each.number))


def split(script: str) -> tuple[str, ...]:
    """The statements of a script that has no semicolon inside of one."""
    return tuple(each.strip() for each in _COMMENT.sub("", script).split(";") if each.strip())


@cache
def read_sql(dialect: Dialect, name: str) -> str:
    return (_folder(dialect) / name).read_text("utf-8")


def _folder(dialect: Dialect) -> Traversable:
    return resources.files("processor.recorder") / "sql" / dialect
