"""What a record on `rejected` looks like: the bytes as they came, and in its headers why and where from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: What is kept of bytes that are too large to be kept whole, and of a reason.
KEPT_BYTES = 1_048_576
KEPT_REASON_CHARS = 2_000

REASON, ORIGIN, TRIGGER, FUNCTION, TRUNCATED = "reason", "origin", "trigger", "function", "truncated"
_OURS = (REASON, ORIGIN, TRIGGER, FUNCTION, TRUNCATED)

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
    #: It is here in part: too large to be kept whole, with its headers.
    truncated: bool = False

    def value(self) -> bytes:
        return self.raw[:KEPT_BYTES]

    def all_headers(self) -> Headers:
        """Ours first, also the empty ones: what stands behind them is theirs, whatever its name."""
        cut = self.truncated or len(self.raw) > KEPT_BYTES
        ours = (self.reason[:KEPT_REASON_CHARS], self.origin, self.trigger, self.function, "true" if cut else "")
        return [*zip(_OURS, (each.encode() for each in ours), strict=True), *self.headers]


def rejection_of(value: bytes | None, headers: Headers) -> Rejection:
    """Reads one back; never raises. What does not begin with our headers was not written by us: no reason is known."""
    names = tuple(name for name, _ in headers[: len(_OURS)])
    if names != _OURS:
        return Rejection(raw=value or b"", reason="", origin="", headers=headers)
    reason, origin, trigger, function, cut = (text.decode("utf-8", "replace") for _, text in headers[: len(_OURS)])
    return Rejection(
        raw=value or b"",
        reason=reason,
        origin=origin,
        trigger=trigger,
        function=function,
        headers=headers[len(_OURS) :],
        truncated=bool(cut),
    )
