"""Where settings come from: flags over environment over file over defaults, every mistake told at once."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from processor.cli.settings import POSTGRES, SQLITE, Settings, shown
from processor.cli.toml_lines import key_lines
from processor.core.errors import HeadraceError

ENV_PREFIX = "HEADRACE_"
#: Not settings: the settings file itself, and what the project's own tests read.
NOT_SETTINGS = ("HEADRACE_CONFIG", "HEADRACE_TEST_")
DEFAULT_FILE = Path("config/headrace.toml")
_SECURITY = ("kafka", "security")
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

_SERVER = r"\s*(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}\s*"

#: Texts that must look in a certain way, and what to write.
_FORMS = (
    (
        ("history", "url"),
        re.compile(rf"{SQLITE}.+|({'|'.join(POSTGRES)}).+"),
        f"write {SQLITE}PATH (a fourth slash begins an absolute path) or postgresql://USER@HOST/DATABASE",
    ),
    (("gateway", "url"), re.compile(r"https?://[^/\s]+.*"), "write http://HOST:PORT"),
    (
        ("kafka", "bootstrap_servers"),
        re.compile(rf"{_SERVER}(,{_SERVER})*"),
        "write brokers as HOST:PORT,HOST:PORT",
    ),
    (("kafka", "topic_prefix"), re.compile(r"[a-zA-Z0-9._-]{1,100}"), "use letters, digits, dot, - and _"),
    (("executor", "name"), re.compile(r"[a-zA-Z0-9._-]{1,64}"), "use letters, digits, dot, - and _, at most 64"),
)

#: A setting's place, from the top: ("kafka", "topic_prefix").
Name = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A value as it was written, and where: a flag, an environment variable, or file:line."""

    value: Any
    origin: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    name: str
    message: str
    remedy: str
    origin: str
    value: str = ""

    def __str__(self) -> str:
        value = f" {self.value!r}" if self.value else ""
        return f"{self.origin}: {self.name}{value} {self.message}; {self.remedy}"


class SettingsInvalid(HeadraceError):
    """The settings have mistakes."""

    remedy = "Correct what is named above; `headrace config show` prints every setting with its origin."

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    settings: Settings
    #: Dotted name -> origin, of every setting; "default" where nobody said anything.
    origins: Mapping[str, str]
    #: Variables that look like ours and are not, in sentences.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """One setting: its field, its type, and the number limits from the field."""

    name: Name
    field: Field[Any]
    type: Any

    @property
    def dotted(self) -> str:
        return ".".join(self.name)


def known_settings(kind: type = Settings, above: Name = ()) -> dict[Name, _Known]:
    hints = get_type_hints(kind)
    found: dict[Name, _Known] = {}
    for each in fields(kind):
        name = (*above, each.name)
        if is_dataclass(hints[each.name]):
            found |= known_settings(hints[each.name], name)
        else:
            found[name] = _Known(name=name, field=each, type=hints[each.name])
    return found


def load_settings(
    flags: Mapping[str, Given] | None = None,
    *,
    config: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Loaded:
    """flags: by dotted name. config: the file named by --config. Raises SettingsInvalid with every mistake."""
    loading = _Loading()
    loading.add_file(config, environ)
    loading.add_environment(environ)
    for dotted, given in (flags or {}).items():
        loading.given[tuple(dotted.split("."))] = given
    return loading.finish()


class _Loading:
    def __init__(self) -> None:
        self.known = known_settings()
        self.given: dict[Name, Given] = {}
        self.mistakes: list[Mistake] = []
        self.warnings: list[str] = []

    def add_file(self, config: Path | None, environ: Mapping[str, str]) -> None:
        named = config or (Path(environ["HEADRACE_CONFIG"]) if environ.get("HEADRACE_CONFIG") else None)
        path = named or DEFAULT_FILE
        origin = "--config" if config else "HEADRACE_CONFIG"
        try:
            text = path.read_text()
        except FileNotFoundError:
            if named:
                self._refuse(origin, str(path), "does not exist", "name a TOML file, or leave it out", name="config")
            return
        except (OSError, UnicodeDecodeError) as error:
            self._refuse(origin, str(path), f"cannot be read: {error}", "name a TOML file in UTF-8", name="config")
            return
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self._refuse(str(path), "", f"is not TOML: {error}", "correct that line", name="the file")
            return
        lines = key_lines(text)
        for name, value in _flattened(document):
            line = lines.get(name) or lines.get(name[:-1]) or 1
            self._take(name, Given(value=value, origin=f"{path}:{line}"))

    def add_environment(self, environ: Mapping[str, str]) -> None:
        for variable, value in sorted(environ.items()):
            if not variable.startswith(ENV_PREFIX) or variable.startswith(NOT_SETTINGS):
                continue
            name = tuple(variable.removeprefix(ENV_PREFIX).lower().split("__"))
            if name[:2] == _SECURITY and len(name) == 3:
                name = (*_SECURITY, *name[2].split("_"))  # SASL_PASSWORD is sasl.password
            if self._is_known(name):
                self.given[name] = Given(value=value, origin=variable)
            else:
                self._strange_variable(variable)

    def finish(self) -> Loaded:
        origins: dict[str, str] = {}
        security = self._security(origins)
        values: dict[Name, Any] = {_SECURITY: security} if security else {}
        for name, given in self.given.items():
            if name[:2] != _SECURITY:
                self._accept(name, given, values, origins)
        for name, form, remedy in _FORMS:
            self._check_form(name, form, remedy, values)
        if self.mistakes:
            raise SettingsInvalid(self.mistakes)
        for name in self.known:
            if name != _SECURITY:
                origins.setdefault(".".join(name), "default")
        return Loaded(settings=_build(Settings, values), origins=origins, warnings=tuple(self.warnings))

    def _accept(self, name: Name, given: Given, values: dict[Name, Any], origins: dict[str, str]) -> None:
        known = self.known[name]
        try:
            values[name] = _parsed(known, given.value)
        except ValueError as error:
            self._refuse(given.origin, shown(known.dotted, given.value), *map(str, error.args[:2]), name=known.dotted)
        origins[known.dotted] = given.origin

    def _security(self, origins: dict[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, given in self.given.items():
            if name[:2] == _SECURITY:
                setting = ".".join(name[2:])
                value = given.value
                found[setting] = str(value).lower() if isinstance(value, bool) else str(value)
                origins[f"kafka.security.{setting}"] = given.origin
        return found

    def _check_form(self, name: Name, form: re.Pattern[str], remedy: str, values: Mapping[Name, Any]) -> None:
        value = values.get(name)
        if value and not form.fullmatch(value):
            dotted = ".".join(name)
            self._refuse(
                self.given[name].origin, shown(dotted, value), "has not the form it needs", remedy, name=dotted
            )

    def _is_known(self, name: Name) -> bool:
        return (name in self.known and name != _SECURITY) or (name[:2] == _SECURITY and len(name) > 2)

    def _take(self, name: Name, given: Given) -> None:
        if self._is_known(name):
            self.given[name] = given
            return
        dotted = ".".join(name)
        near = difflib.get_close_matches(dotted, [each.dotted for each in self.known.values()], n=1, cutoff=0.6)
        remedy = f"did you mean {near[0]}?" if near else "`headrace config show` lists every setting"
        self._refuse(given.origin, "", "is not a setting", remedy, name=dotted)

    def _strange_variable(self, variable: str) -> None:
        """A near miss is a slip of the pen, and would otherwise be an unnoticed default; anything else may belong to
        somebody else's program.
        """
        near = difflib.get_close_matches(variable, [variable_of(each) for each in self.known], n=1, cutoff=0.8)
        if near:
            self._refuse(variable, "", "is not a setting", f"did you mean {near[0]}?", name="the variable")
        else:
            self.warnings.append(f"{variable} is not a setting of Headrace and is ignored")

    def _refuse(self, origin: str, value: str, message: str, remedy: str, *, name: str) -> None:
        self.mistakes.append(Mistake(name=name, value=value, origin=origin, message=message, remedy=remedy))


def variable_of(name: Name) -> str:
    return ENV_PREFIX + "__".join(name).upper()


def default_of(known: _Known) -> Any:
    if known.field.default is not MISSING:
        return known.field.default
    assert known.field.default_factory is not MISSING  # every setting has a default
    return known.field.default_factory()


def _flattened(document: Mapping[str, Any], above: Name = ()) -> Iterable[tuple[Name, Any]]:
    for key, value in document.items():
        # A quoted "sasl.password" is the same as the nested sasl.password.
        name = (*above, *key.split(".")) if above[:2] == _SECURITY else (*above, key)
        if isinstance(value, dict):
            yield from _flattened(value, name)
        else:
            yield name, value


def _build(kind: type[Any], values: Mapping[Name, Any], above: Name = ()) -> Any:
    hints = get_type_hints(kind)
    arguments = {}
    for each in fields(kind):
        name = (*above, each.name)
        if is_dataclass(hints[each.name]):
            arguments[each.name] = _build(hints[each.name], values, name)
        elif name in values:
            arguments[each.name] = values[name]
    return kind(**arguments)


def _parsed(known: _Known, value: Any) -> Any:
    """Raises ValueError(message, remedy)."""
    kinds = get_args(known.type) if get_origin(known.type) in (Union, types.UnionType) else (known.type,)
    if type(None) in kinds and value == "":
        return None
    kind = next(each for each in kinds if each is not type(None))
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if value not in choices:
            raise ValueError("is not a choice", f"choose one of {', '.join(choices)}")
        return value
    parsed = _PARSERS[kind](value)
    _check_limits(known, parsed)
    return parsed


def _check_limits(known: _Known, value: Any) -> None:
    low, high = known.field.metadata["low"], known.field.metadata["high"]
    if (low is not None and value < low) or (high is not None and value > high):
        between = f"from {low:,} to {high:,}" if high is not None else f"of at least {low:,}"
        raise ValueError("is out of range", f"give a number {between}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text", "put it in quotes")
    return value


def _whole(value: Any) -> int:
    try:
        if isinstance(value, bool | float):
            raise ValueError
        return int(value)
    except (ValueError, TypeError):
        raise ValueError("is not a whole number", "give digits only") from None


def _number(value: Any) -> float:
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (ValueError, TypeError):
        number = float("nan")
    if number != number:  # only nan is not itself
        raise ValueError("is not a number", "give a number such as 0.5")
    return number


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("is not a path", "give the path of a file or folder")
    return Path(value).expanduser()


def _yes_or_no(value: Any) -> bool:
    word = str(value).lower()
    if word not in _WORDS:
        raise ValueError("is neither true nor false", "write true or false")
    return _WORDS[word]


_PARSERS: dict[Any, Callable[[Any], Any]] = {str: _text, int: _whole, float: _number, Path: _path, bool: _yes_or_no}


def masked(settings: Settings) -> dict[str, str]:
    """Dotted name -> value of every setting, for people: secrets masked. Of Kafka's own security settings, which may be
    keys and passwords under many names, only which are set.
    """
    rows: dict[str, str] = {}
    for name, known in known_settings().items():
        value: Any = settings
        for part in name:
            value = getattr(value, part)
        if isinstance(value, dict):
            rows |= {f"{known.dotted}.{each}": "set" for each in value}
        else:
            rows[known.dotted] = shown(known.dotted, value)
    return rows
