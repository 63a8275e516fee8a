"""What others wrote down: a client its acknowledgements, handlers their starts. Nothing here comes from Headrace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import orjson

from processor.core.errors import HeadraceError


class EvidenceUnreadable(HeadraceError):
    """A line of the evidence cannot be read."""

    remedy = (
        'Acknowledgements: one JSON object per line, {"key", "request_id", "outcome": "ok|unknown|refused"}. '
        "Journal: REQUEST_ID PID start|end."
    )

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(f"{path}, line {line}: {why}")


class Answer(Enum):
    OK = "ok"
    #: No answer, or a 503: it may have been accepted.
    UNKNOWN = "unknown"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One answer to a client. One key may have several: unknown, then ok."""

    key: str
    #: Empty where the client was not told one.
    request_id: str
    answer: Answer


@dataclass(kw_only=True, slots=True)
class Journal:
    """How often each RequestId was seen by its handler."""

    starts: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    sent: tuple[Sent, ...] = ()
    #: None: no function keeps one.
    journal: Journal | None = None

    def acknowledged(self) -> set[str]:
        return {each.request_id for each in self.sent if each.answer is Answer.OK}


def read_evidence(acknowledgements: Iterable[Path], journals: Iterable[Path]) -> Evidence:
    """Blocks. Raises EvidenceUnreadable, OSError."""
    sent = [each for path in acknowledgements for each in _read_sent(path)]
    paths = list(journals)
    journal = Journal() if paths else None
    for path in paths:
        assert journal is not None
        _read_journal(path, journal)
    return Evidence(sent=tuple(sent), journal=journal)


def _read_sent(path: Path) -> Iterable[Sent]:
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            document = orjson.loads(line)
            yield Sent(
                key=str(document["key"]),
                request_id=str(document.get("request_id") or ""),
                answer=Answer(document["outcome"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EvidenceUnreadable(path, number, repr(error)) from error


def _read_journal(path: Path, journal: Journal) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if len(words) != 3 or words[2] not in ("start", "end"):
            raise EvidenceUnreadable(path, number, f"{line[:80]!r} is no entry of a journal")
        (journal.starts if words[2] == "start" else journal.ends)[words[0]] += 1
