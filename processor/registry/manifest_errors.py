"""pydantic's errors in the words of the manifest."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from processor.registry.manifest_model import FunctionEntry, ManifestDocument
from processor.registry.problems import Path, Problem

_KINDS = {
    "string_type": ("text", "put it in quotes"),
    "int_type": ("a whole number", "write digits without quotes"),
    "int_from_float": ("a whole number", "write digits without a point"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "dict_type": ("a mapping", "write members as `name: value`"),
    "model_type": ("a mapping", "write members as `name: value`"),
    "list_type": ("a list", "write each entry as `- ...`"),
}
#: What people bring along from other manifests.
_FOREIGN = {
    "environment": "it is called env here",
    "memory_size": "it is called memory here",
    "memorySize": "it is called memory here",
    "throttle": "it is called rate here",
    "triggers": "it is called events here",
    "retries": "leave it out: a started run is never repeated",
    "retry": "leave it out: a started run is never repeated",
    "runtime": "leave it out: functions run in this installation's Python",
    "overlap": "use concurrency: 1 of the function",
    "catch_up": "it is called missed here",
}
_EXPECTED = {
    "handler": "add one such as handler: app.images:thumbnail",
    "version": "add version: 1 at the top",
    "functions": "add functions: with one member per function",
}


def problems_of(error: ValidationError) -> list[Problem]:
    return [_problem(each) for each in error.errors(include_url=False)]


def _problem(error: ErrorDetails) -> Problem:
    path: Path = tuple(part for part in error["loc"] if part != "[key]")
    message, remedy = _words(error, path)
    return Problem(path=path, message=message, remedy=remedy)


def _words(error: ErrorDetails, path: Path) -> tuple[str, str]:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "headrace":
        return str(context["message"]), str(context["remedy"])
    if kind == "missing":
        return "is missing", _EXPECTED.get(str(path[-1]), f"add {path[-1]}")
    if kind == "extra_forbidden":
        return "is not known here", _suggestion(path)
    if error["input"] is None:
        return "has no value", "give it one, or leave the member out"
    if kind in _KINDS:
        expected, remedy = _KINDS[kind]
        return f"must be {expected}{_found(error['input'])}", remedy
    if kind == "literal_error":
        return "is not one of the choices", f"use {context['expected']}"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return "is out of range", f"use {bound}"
    if kind in ("string_too_short", "too_short"):
        return "is empty", "give a value, or leave the member out"
    return error["msg"], ""


def _found(value: object) -> str:
    """YAML 1.1 reads on, no and 010 as something else than text: say so."""
    names = {bool: "true or false", int: "a number", float: "a number", dict: "a mapping", list: "a list", str: "text"}
    return f"; this is {names[type(value)]}" if type(value) in names else ""


def _suggestion(path: Path) -> str:
    name = str(path[-1])
    if name in _FOREIGN:
        return _FOREIGN[name]
    known = _members(path[:-1])
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(known)}" if known else "leave it out"


def _members(parent: Path) -> list[str]:
    """The names that are known at this place, for a path in a manifest or in one function's document."""
    start: Any = ManifestDocument if not parent or parent[0] == "functions" else FunctionEntry
    found: Any = start
    for part in parent:
        found = _step(found, part)
    return list(found.model_fields) if isinstance(found, type) and issubclass(found, BaseModel) else []


def _step(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return next(_plain(field.annotation), None) if field else None
    return next(_plain(get_args(kind)[-1]), None) if get_args(kind) else None


def _plain(annotation: Any) -> Iterator[Any]:
    """The type without `| None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        yield from (each for each in get_args(annotation) if each is not type(None))
    else:
        yield annotation
