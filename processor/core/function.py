from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from processor.core.errors import Undecodable
from processor.core.topics import QUEUE_PREFIX

#: Kafka topic characters without the dot, which separates the parts of a queue's name.
NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,62}[a-zA-Z0-9]|[a-zA-Z]")


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionVersion:
    """One immutable deployment of a function. `version` is the digest of everything below and of the code."""

    version: str
    handler: str
    #: SHA-256 (hex) of the code archive; the code store unpacks it by this name.
    code_digest: str
    timeout_sec: float = 900.0
    memory_bytes: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """The head record of a function on the `functions` topic: what is current, how it is queued and limited."""

    name: str
    current: FunctionVersion
    #: Earlier versions that queued runs may still be pinned to, newest first.
    previous: tuple[FunctionVersion, ...] = ()
    #: Which creation of this name it is: deleted and made again gets a new queue (DESIGN 5.7).
    creation: int = 1
    #: Counts writes of this record; a deploy names the revision it was based on.
    revision: int = 1
    enabled: bool = True
    #: Events go on being accepted and queue; none is started. Not of the manifest: a deploy keeps it.
    paused: bool = False
    #: Locked at creation.
    async_execution: bool = True
    queue_partitions: int = 4
    concurrency: int = 4
    #: Accepted per second; HTTP callers above it get 429.
    rate_per_sec: float = 1000.0
    max_queue_age_sec: float | None = None
    #: Runs claimed ahead of free instances, in seconds of work (DESIGN 6); 0 turns it off.
    claim_ahead_sec: float = 1.0
    #: The manifest's `events` list, for the trigger host.
    events: tuple[Mapping[str, Any], ...] = ()

    @property
    def queue_topic(self) -> str:
        return f"{QUEUE_PREFIX}{self.name}.{self.creation}"

    def find(self, version: str) -> FunctionVersion | None:
        """The version a run was pinned to at acceptance, or None when it is older than the kept ones."""
        if version == self.current.version:
            return self.current
        return next((each for each in self.previous if each.version == version), None)


#: How many earlier versions stay runnable for events that wait.
KEPT_VERSIONS = 20


def encode_function(function: Function) -> bytes:
    return orjson.dumps(function)


def decode_function(value: bytes) -> Function:
    """Raises Undecodable when the record is not a function of this format."""
    try:
        document = orjson.loads(value)
        document["current"] = FunctionVersion(**document["current"])
        document["previous"] = tuple(FunctionVersion(**each) for each in document["previous"])
        document["events"] = tuple(document["events"])
        return Function(**document)
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Undecodable(f"not a function record: {error}") from error
