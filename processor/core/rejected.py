"""What a record on `rejected` looks like: the bytes as they came, and in its headers why and where from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: What is kept of bytes that are too large to be kept whole, and of a reason.
KEPT_BYTES = 1_048_576
KEPT_REASON_CHARS = 2_000

REASON, ORIGIN, TRIGGER, FUNCTION, TRUNCATED = "reason", "origin", "trigger", "function", "truncated"
_OURS = frozenset({REASON, ORIGIN, TRIGGER, FUNCTION, TRUNCATED})

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """Something that could not become an event."""

    raw: bytes
    reason: str
    #: Where it stood: topic/partition/offset of a record, the message id of a queue, the path of a webhook.
    origin: str
    #: The trigger's id; empty for what a foreign producer wrote to `intake`.
    trigger: str = ""
    function: str = ""
    #: Headers it came with.
    headers: Headers = ()

    def value(self) -> bytes:
        return self.raw[:KEPT_BYTES]

    def all_headers(self) -> Headers:
        ours = [
            (REASON, self.reason[:KEPT_REASON_CHARS].encode()),
            (ORIGIN, self.origin.encode()),
            (TRIGGER, self.trigger.encode()),
            (FUNCTION, self.function.encode()),
        ]
        cut = [(TRUNCATED, b"true")] if len(self.raw) > KEPT_BYTES else []
        return [*((name, value) for name, value in ours if value), *cut, *self.headers]


def rejection_of(value: bytes | None, headers: Headers) -> Rejection:
    """Reads one back; the first header of each of our names is ours. Never raises."""
    ours: dict[str, str] = {}
    theirs: list[tuple[str, bytes]] = []
    for name, text in headers:
        if name in _OURS and name not in ours:
            ours[name] = text.decode("utf-8", "replace")
        else:
            theirs.append((name, text))
    return Rejection(
        raw=value or b"",
        reason=ours.get(REASON, ""),
        origin=ours.get(ORIGIN, ""),
        trigger=ours.get(TRIGGER, ""),
        function=ours.get(FUNCTION, ""),
        headers=theirs,
    )
