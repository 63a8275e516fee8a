"""YAML that remembers its lines, refuses duplicate keys, and never builds anything but plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from processor.registry.problems import Path, Problem

_TAG = "tag:yaml.org,2002:"
#: Dates are left as text: nothing in a manifest is one.
_PLAIN = frozenset(_TAG + kind for kind in ("null", "bool", "int", "float"))
_TEXT = frozenset(_TAG + kind for kind in ("str", "timestamp", "value"))
#: Aliases can make a document of a hundred lines into billions of values.
_MAX_NODES = 50_000

_HALF_CHARACTER = ("contains half a character (a lone surrogate)", "write the whole character")
_STAR = 'put it in quotes, e.g. cron: "*/5 * * * *"'


@dataclass(kw_only=True, slots=True)
class YamlDocument:
    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    #: Scalars as they were written: `on`, not True.
    texts: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Of the nearest thing that is in the file: a missing member is reported where its parent begins."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str, file: str) -> YamlDocument:
    """Never raises for what the text contains: see `problems`. `value` is None when nothing could be made of it."""
    document = YamlDocument()
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                document.value = _Builder(loader, file, document).build(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        document.problems.append(_syntax_problem(error, text, file))
    except (_TooLarge, RecursionError):
        document.problems.append(_problem(file, 1, (), "is nested too deep, or its aliases make it too large", ""))
    return document


class _TooLarge(Exception):
    """More values than any manifest needs."""


class _Builder:
    def __init__(self, loader: yaml.SafeLoader, file: str, document: YamlDocument) -> None:
        self._loader = loader
        self._file = file
        self._document = document
        self._nodes = 0

    def build(self, node: yaml.Node, path: Path = ()) -> Any:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise _TooLarge
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.build(each, (*path, index)) for index, each in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in node.value:
            name = self._key(key, path)
            if name is None:
                continue
            if name in built:
                first = self._document.lines[(*path, name)]
                self._report(key, (*path, name), f"appears twice (first on line {first})", "keep one of them")
                continue
            self._document.lines[(*path, name)] = key.start_mark.line + 1
            built[name] = self.build(value, (*path, name))
        return built

    def _key(self, key: yaml.Node, path: Path) -> str | None:
        """Keys are text as written, so that an environment variable may be called NO or ON."""
        if not isinstance(key, yaml.ScalarNode):
            self._report(key, path, "has a key that is not text", "use a name")
            return None
        if key.tag == _TAG + "merge":
            self._report(key, path, "has a merge key (<<), which is not supported", "write the members out")
            return None
        if _has_half_characters(key.value):
            self._report(key, path, *_HALF_CHARACTER)
            return None
        return str(key.value)

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.ScalarNode):
            if _has_half_characters(node.value):
                self._report(node, path, *_HALF_CHARACTER)
                return None
            self._document.texts[path] = str(node.value)
            if node.tag in _TEXT:
                return node.value
            if node.tag in _PLAIN:
                return self._plain(node, path)
        self._report(
            node, path, f"has the tag {node.tag.replace(_TAG, '!!')!r}, which is not supported", "leave it out"
        )
        return None

    def _plain(self, node: yaml.ScalarNode, path: Path) -> Any:
        try:
            return self._loader.construct_object(node)
        except (ValueError, KeyError, OverflowError):  # an explicit tag on something else: !!int x, !!bool x
            self._report(node, path, "does not fit its tag", "put it in quotes")
            return None

    def _report(self, node: yaml.Node, path: Path, message: str, remedy: str) -> None:
        self._document.problems.append(_problem(self._file, node.start_mark.line + 1, path, message, remedy))


def _has_half_characters(text: str) -> bool:
    r"""YAML lets them through in an escape such as "\ud800"; no encoder takes them."""
    return not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text)


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return _problem(file, line, (), "a character is not allowed in YAML", "remove it, or write it as an escape")
    if not isinstance(error, yaml.MarkedYAMLError):
        return _problem(file, 1, (), f"not YAML: {error}", "")
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    if error.context == "while scanning an alias" or "undefined alias" in (error.problem or ""):
        return _problem(file, line, (), "a value that begins with * is an alias in YAML", _STAR)
    message = ", ".join(part for part in (error.context, error.problem) if part)
    return _problem(file, line, (), f"not YAML: {message}", _hint(error.problem or ""))


def _hint(problem: str) -> str:
    return next((remedy for part, remedy in _HINTS if part in problem), "")


_HINTS: Iterable[tuple[str, str]] = (
    ("'\\t'", "indent with spaces, not tabs"),
    ("cannot start any token", "put the value in quotes"),
    ("mapping values are not allowed", "check the indentation, or put a value that contains ': ' in quotes"),
    ("expected <block end>", "check the indentation of this line and the one before"),
    ("another document", "put all functions into one document"),
)


def _problem(file: str, line: int, path: Path, message: str, remedy: str) -> Problem:
    return Problem(file=file, line=line, path=path, message=message, remedy=remedy)
