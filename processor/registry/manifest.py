"""functions.yaml: what a person writes, checked completely before anything is done with it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from processor.registry.manifest_errors import problems_of
from processor.registry.manifest_model import FunctionEntry, FunctionName, ManifestDocument
from processor.registry.manifest_schedules import same_schedules
from processor.registry.problems import EntryInvalid, ManifestInvalid, Problem
from processor.registry.spec import FunctionSpec
from processor.registry.yaml_document import YamlDocument, read_yaml

_MAX_MANIFEST_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    file: Path
    functions: Mapping[str, FunctionSpec]


def load_manifest(path: Path) -> Manifest:
    """Reads and checks a functions.yaml; paths in it are relative to its folder. Raises ManifestInvalid."""
    file = str(path)
    yaml = read_yaml(_read_text(path), file)
    problems = yaml.problems
    checked: ManifestDocument | None = None
    if yaml.value is not None or not problems:
        problems += _located(_problems_beside(yaml.value, path.parent), yaml, file)
        try:
            checked = ManifestDocument.model_validate(yaml.value)
        except ValidationError as error:
            problems += _located(problems_of(error), yaml, file)
    if problems or checked is None:
        raise ManifestInvalid(sorted(problems, key=lambda each: each.line))
    base = path.absolute().parent
    not_code = (path.absolute(),)
    functions = {name: _spec(name, entry, base, not_code) for name, entry in checked.functions.items()}
    return Manifest(file=path, functions=functions)


def parse_entry(name: str, document: object, base_dir: Path) -> FunctionSpec:
    """One function as parsed JSON: the body of PUT /v1/functions/{name}; paths in it are relative to base_dir.

    Raises EntryInvalid.
    """
    problems = []
    entry: FunctionEntry | None = None
    try:
        TypeAdapter(FunctionName).validate_python(name)
    except ValidationError as error:
        problems += [replace(each, value=name) for each in problems_of(error)]
    try:
        entry = FunctionEntry.model_validate(document)
    except ValidationError as error:
        problems += [_shown(each, document) for each in problems_of(error)]
    problems += [_shown(each, document) for each in _entry_problems((), document, base_dir)]
    if problems or entry is None:
        raise EntryInvalid(problems)
    return _spec(name, entry, base_dir.absolute(), ())


def _read_text(path: Path) -> str:
    def refuse(message: str, remedy: str, line: int = 1) -> ManifestInvalid:
        return ManifestInvalid([Problem(file=str(path), line=line, path=(), message=message, remedy=remedy)])

    try:
        with open(path, "rb") as file:
            raw = file.read(_MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}", "give the path of a functions.yaml") from error
    if len(raw) > _MAX_MANIFEST_BYTES:
        raise refuse("has more than 1 MB", "give the path of a functions.yaml")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise refuse("is not UTF-8", "save it as UTF-8", raw.count(b"\n", 0, error.start) + 1) from error


def _located(problems: Iterable[Problem], yaml: YamlDocument, file: str) -> list[Problem]:
    return [
        replace(each, file=file, line=yaml.line(each.path), value=yaml.texts.get(each.path, "")) for each in problems
    ]


def _shown(problem: Problem, document: Any) -> Problem:
    for part in problem.path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return problem
    return replace(problem, value=document if isinstance(document, str) else orjson.dumps(document).decode())


def _problems_beside(document: Any, base_dir: Path) -> list[Problem]:
    """Beside the shape's check, so that one reading shows both kinds of mistakes."""
    functions = document.get("functions") if isinstance(document, dict) else None
    if not isinstance(functions, dict):
        return []
    return [
        problem
        for name, entry in functions.items()
        for problem in _entry_problems(("functions", name), entry, base_dir)
    ]


def _entry_problems(path: tuple[str, ...], entry: object, base_dir: Path) -> list[Problem]:
    if not isinstance(entry, dict):
        return []  # the shape's check reports it
    return _entry_code_problems(path, entry, base_dir) + same_schedules(path, entry.get("events"))


def _entry_code_problems(path: tuple[str, ...], entry: dict[str, Any], base_dir: Path) -> list[Problem]:
    code = entry.get("code", ".")
    if not isinstance(code, str) or not code or "://" in code or "\0" in code:
        return []  # the shape's check reports it
    found = base_dir / code
    if found.is_dir() or (found.is_file() and zipfile.is_zipfile(found)):
        return []
    message = "is neither a directory nor a zip file" if found.exists() else "does not exist"
    remedy = f"it is looked for at {found.absolute()}"
    return [Problem(path=(*path, "code"), message=message, remedy=remedy)]


def _spec(name: str, entry: FunctionEntry, base_dir: Path, not_code: tuple[Path, ...]) -> FunctionSpec:
    code = Path(os.path.normpath(base_dir / entry.code))
    events = tuple(_event(each.model_dump(exclude_none=True), base_dir) for each in entry.events)
    watched = (Path(each["folder"]["path"]) for each in events if "folder" in each)
    return FunctionSpec(
        name=name,
        handler=entry.handler,
        code=code,
        not_code=(*not_code, *(each for each in watched if code in each.parents)),
        async_execution=entry.async_execution,
        timeout_sec=entry.timeout,
        memory_bytes=entry.memory,
        concurrency=entry.concurrency,
        rate_per_sec=entry.rate,
        max_queue_age_sec=entry.max_queue_age,
        claim_ahead_sec=entry.claim_ahead,
        env=entry.env,
        role=entry.role,
        enabled=entry.enabled,
        events=events,
    )


def _event(event: dict[str, Any], base_dir: Path) -> dict[str, Any]:
    """The trigger host has another working directory than the person who wrote the path."""
    if "folder" in event:
        event["folder"]["path"] = os.path.normpath(base_dir / event["folder"]["path"])
    return event


__all__ = ["EntryInvalid", "Manifest", "ManifestInvalid", "Problem", "load_manifest", "parse_entry"]
