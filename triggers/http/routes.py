"""Which trigger takes a request: path templates and methods. Pure."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from processor.core.errors import HeadraceError
from processor.http.message import Request, Response

ANY = "ANY"
_PARAMETER = re.compile(r"\{(\w+)\}")

#: Gets the request and the values of the path's parameters. Has a time limit in each of its steps: the body's, the
#: append's.
Answer = Callable[[Request, Mapping[str, str]], Awaitable[Response]]


class RouteTaken(HeadraceError):
    """Another trigger serves this method and path."""

    def __init__(self, route: Route, other: Route) -> None:
        super().__init__(
            f"{route.owner} wants {route.title}, which {other.owner} serves as {other.title}",
            remedy="Give one of them another path or method in the manifest; until then the first one keeps it.",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A path whose parts are text or, as {name}, parameters."""

    path: str
    #: Of each part: its text, or None for a parameter.
    texts: tuple[str | None, ...]
    #: Of each part: the parameter's name, or None for text.
    names: tuple[str | None, ...]

    @classmethod
    def of(cls, path: str) -> Template:
        parts = path.split("/")[1:]
        named = [_PARAMETER.fullmatch(part) for part in parts]
        return cls(
            path=path,
            texts=tuple(None if name else unquote(part) for name, part in zip(named, parts, strict=True)),
            names=tuple(name and name[1] for name in named),
        )

    def fits(self, segments: Sequence[str]) -> bool:
        """A parameter is never empty."""
        if self.texts == tuple(segments):  # nearly all: a path without parameters
            return True
        return len(segments) == len(self.texts) and all(
            segment == text if text is not None else segment for text, segment in zip(self.texts, segments, strict=True)
        )

    def parameters(self, segments: Sequence[str]) -> dict[str, str]:
        return {name: segment for name, segment in zip(self.names, segments, strict=True) if name}


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    template: Template
    #: Upper case; ANY takes every method.
    methods: frozenset[str]
    #: The trigger, for people.
    owner: str
    answer: Answer

    @property
    def title(self) -> str:
        return f"{'|'.join(sorted(self.methods))} {self.template.path}"

    def takes(self, method: str) -> bool:
        return method in self.methods or ANY in self.methods

    def collides(self, other: Route) -> bool:
        """The same paths, however the parameters are called, and a method that both would take."""
        same = self.template.texts == other.template.texts
        return same and (ANY in self.methods | other.methods or bool(self.methods & other.methods))


@dataclass(frozen=True, slots=True)
class Found:
    route: Route
    parameters: dict[str, str]


class Routes:
    """Of two routes that fit, the one counts that has text where the other has a parameter, from the left on."""

    def __init__(self) -> None:
        self._by_length: dict[int, list[Route]] = {}

    def add(self, route: Route) -> None:
        """Raises RouteTaken."""
        length = len(route.template.texts)
        beside = self._by_length.get(length, [])
        for other in beside:
            if route.collides(other):
                raise RouteTaken(route, other)
        self._by_length[length] = sorted([*beside, route], key=_openness)

    def remove(self, route: Route) -> None:
        length = len(route.template.texts)
        self._by_length[length] = [each for each in self._by_length[length] if each is not route]

    def find(self, method: str, segments: Sequence[str]) -> Found | list[str]:
        """The methods that the path takes, when this is none of them; empty: nobody knows the path."""
        allowed: set[str] = set()
        for route in self._by_length.get(len(segments), ()):
            if route.template.fits(segments):
                if route.takes(method):
                    return Found(route, route.template.parameters(segments))
                allowed |= route.methods
        return sorted(allowed)


def _openness(route: Route) -> tuple[bool, ...]:
    return tuple(text is None for text in route.template.texts)
