"""What stands on the topic `control`: requests to end a run, keyed by its RequestId, and to drain an executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from processor.core.errors import HeadraceError, Undecodable
from processor.core.topics import CONTROL

#: The longest time that a run may get between SIGTERM and SIGKILL.
MAX_GRACE_SEC = 3_600.0
#: A delivery that was accepted later than this after the request is another one, which nobody has cancelled; what came
#: before is the one that was meant. Acceptance and request are stamped by the leaders of two partitions, whose clocks
#: may differ; inside the dedup window there is no second delivery that could be confused with the first.
SAME_DELIVERY_MS = 60_000
#: As long as the topic itself keeps a request.
KEEP_SEC = (CONTROL.retention_ms or 0) / 1000


class BadGrace(HeadraceError):
    """The grace is not a number of seconds that a run may get."""

    remedy = f"From 0 (kill at once) to {MAX_GRACE_SEC:g} seconds."


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel:
    """Somebody wants this run ended. The last request for a run holds."""

    request_id: str
    #: Between SIGTERM and SIGKILL of the whole tree; 0: killed at once.
    grace_sec: float = 0.0
    #: Who asked; for people.
    by: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.grace_sec <= MAX_GRACE_SEC:  # also refuses nan
            raise BadGrace(f"a grace of {self.grace_sec:g} s")

    @property
    def key(self) -> bytes:
        return self.request_id.encode()

    def encode(self) -> bytes:
        return orjson.dumps({"type": "cancel", "grace_sec": self.grace_sec, "by": self.by})

    @classmethod
    def decode(cls, key: bytes | None, value: bytes) -> Cancel:
        """Raises Undecodable, also for what a newer version may ask."""
        try:
            document: dict[str, Any] = orjson.loads(value)
            if document["type"] != "cancel":
                raise Undecodable(f"not a request to cancel: {document['type']!r}")
            return cls(
                request_id=(key or b"").decode("ascii"),
                grace_sec=float(document["grace_sec"]),
                by=str(document.get("by", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError, BadGrace) as error:
            raise Undecodable(f"not a request to cancel: {error!r}") from error


#: Before the executor in a key; no RequestId begins so.
_EXECUTOR = b"executor/"


@dataclass(frozen=True, kw_only=True, slots=True)
class DrainRequest:
    """Somebody wants this executor to claim no more, and to end when what it runs has ended."""

    #: name#incarnation: its successor of the same name is another one.
    executor: str
    by: str = ""

    @property
    def key(self) -> bytes:
        return _EXECUTOR + self.executor.encode()

    def encode(self) -> bytes:
        return orjson.dumps({"type": "drain", "by": self.by})

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> DrainRequest:
        """Raises Undecodable, also for what a newer version may ask of an executor."""
        try:
            document: dict[str, Any] = orjson.loads(value)
            if document["type"] != "drain" or not is_about_executor(key):
                raise Undecodable(f"not a request to drain: {document['type']!r}")
            return cls(executor=key.removeprefix(_EXECUTOR).decode(), by=str(document.get("by", "")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Undecodable(f"not a request to drain: {error!r}") from error


def is_about_executor(key: bytes | None) -> bool:
    return key is not None and key.startswith(_EXECUTOR)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Heard:
    cancel: Cancel
    log_ms: int
    until_sec: float


class CancelBook:
    """The requests that may still matter, by RequestId: a run that nobody has seen yet may come any time."""

    def __init__(self, keep_sec: float = KEEP_SEC) -> None:
        self._keep_sec = keep_sec
        #: In the order in which they were heard.
        self._heard: dict[bytes, _Heard] = {}

    def __bool__(self) -> bool:
        return bool(self._heard)

    def add(self, cancel: Cancel, *, log_ms: int, now_sec: float) -> None:
        """log_ms: when the log took it. now_sec: CLOCK_BOOTTIME."""
        self._heard.pop(cancel.key, None)
        self._heard[cancel.key] = _Heard(cancel=cancel, log_ms=log_ms, until_sec=now_sec + self._keep_sec)

    def withdraw(self, key: bytes) -> None:
        self._heard.pop(key, None)

    def of(self, key: bytes, accepted_at_ms: int) -> Cancel | None:
        """The request that ends the delivery of this RequestId that was accepted then."""
        heard = self._heard.get(key)
        if heard is None or accepted_at_ms > heard.log_ms + SAME_DELIVERY_MS:
            return None
        return heard.cancel

    def forget(self, now_sec: float) -> None:
        while self._heard and next(iter(self._heard.values())).until_sec <= now_sec:
            del self._heard[next(iter(self._heard))]
