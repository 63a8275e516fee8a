from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from processor.core.errors import HeadraceError

#: Member names and list indexes from the top of the document.
Path = tuple[str | int, ...]

_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One mistake in a document. `str()` is one line: file:line: where: value message; remedy."""

    path: Path
    message: str
    remedy: str
    #: As written; empty where there is none to show.
    value: str = ""
    #: As the user named it; empty for a document that came over the API.
    file: str = ""
    #: 1-based; 0 for a document that came over the API.
    line: int = 0

    @property
    def where(self) -> str:
        """functions.thumbnail.events[0].folder.path"""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return text.removeprefix(".")

    @property
    def pointer(self) -> str:
        """The same as a JSON pointer (RFC 6901): /events/0/folder/path"""
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in self.path)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file else ""
        where = f"{self.where}: " if self.path else ""
        value = f"{shortened(self.value)!r} " if self.value else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{place}{where}{value}{self.message}{remedy}"


def shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


class DocumentInvalid(HeadraceError):
    """The document has mistakes."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ManifestInvalid(DocumentInvalid):
    """The manifest has mistakes. `problems` lists all of them, in the order of the file."""

    remedy = "Correct the lines above; nothing was changed."


class EntryInvalid(DocumentInvalid):
    """The function document has mistakes. `problems` lists all of them, with their JSON pointers."""

    remedy = "Correct the members that the message names; nothing was changed."
