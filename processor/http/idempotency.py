from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from processor.core.clock import Clock
from processor.http.problems import Problem, Refused

#: A key is known for 10 to 20 minutes, as long as no more than MAX_KEYS / 2 keys come in 10 minutes (830 per second);
#: beyond that the oldest go earlier. What is forgotten costs only a second append, which the executor drops.
GENERATION_SEC = 600.0
MAX_KEYS = 1_000_000
_DIGEST_BYTES = 16
_PENDING: Final = b"?"
_ACCEPTED: Final = b"!"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """A key that this request has noted, or found noted by an earlier request with the same content."""

    slot: bytes
    #: The earlier request's event is on the intake log for certain: nothing needs to be appended.
    accepted: bool
    #: This request is the first.
    first: bool


class IdempotencyKeys:
    """Which keys came with which content: digests only, in two generations of which the older is dropped whole."""

    def __init__(self, clock: Clock, *, max_keys: int = MAX_KEYS) -> None:
        self._clock = clock
        self._generation_keys = max_keys // 2
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._born_sec = clock.boottime()

    def claim(self, scope: str, key: str, about: str, body: bytes) -> Claimed:
        """scope: a key means the same only within it. about: what belongs to the content besides the body.
        Raises Refused (422) when the key is known with other content.
        """
        self._age()
        slot = _digest(scope.encode(), key.encode())
        content = _digest(about.encode(), body)
        known = self._young.get(slot) or self._old.get(slot)
        if known is None:
            self._young[slot] = content + _PENDING
            return Claimed(slot=slot, accepted=False, first=True)
        if known[:_DIGEST_BYTES] != content:
            raise Refused(_reused(key))
        return Claimed(slot=slot, accepted=known[_DIGEST_BYTES:] == _ACCEPTED, first=False)

    def accepted(self, claimed: Claimed) -> None:
        for generation in (self._young, self._old):
            known = generation.get(claimed.slot)
            if known is not None:
                generation[claimed.slot] = known[:_DIGEST_BYTES] + _ACCEPTED

    def refused(self, claimed: Claimed) -> None:
        """Nothing was written and nothing ever will be: the key is free again, unless another request holds it too."""
        if claimed.first:
            for generation in (self._young, self._old):
                if generation.get(claimed.slot, b"")[_DIGEST_BYTES:] == _PENDING:
                    del generation[claimed.slot]

    def _age(self) -> None:
        now_sec = self._clock.boottime()
        if len(self._young) >= self._generation_keys or now_sec - self._born_sec >= GENERATION_SEC:
            self._old, self._young, self._born_sec = self._young, {}, now_sec


def _digest(first: bytes, second: bytes) -> bytes:
    digest = blake2b(first, digest_size=_DIGEST_BYTES)
    digest.update(b"\0")
    digest.update(second)
    return digest.digest()


def _reused(key: str) -> Problem:
    return Problem(
        status=422,
        name="idempotency-key-reused",
        title="Idempotency-Key used with another body",
        detail=f"the Idempotency-Key {key!r} was used with another body before",
        remedy="Send a new key for a new event; repeat an event with its own key and its own body.",
    )
