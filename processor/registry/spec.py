from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from processor.core.function import Function, FunctionVersion

#: 48 bits: two versions of one function meet by chance once in 10^14, and a person can still read it out.
_VERSION_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionSpec:
    """What a manifest (or the API) wants a function to be. Defaults are those of core.function."""

    name: str
    #: "module:callable"
    handler: str
    #: Directory or zip file, absolute.
    code: Path
    #: Below `code`, but no part of it: the manifest itself, folders that a trigger watches.
    not_code: tuple[Path, ...] = ()
    async_execution: bool = True
    timeout_sec: float = 900.0
    memory_bytes: int | None = None
    concurrency: int = 4
    rate_per_sec: float = 1000.0
    max_queue_age_sec: float | None = None
    claim_ahead_sec: float = 1.0
    env: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    enabled: bool = True
    #: One-member mappings {kind: settings} as in the manifest, with every default filled in.
    events: tuple[Mapping[str, Any], ...] = ()

    def version(self, code_digest: str) -> FunctionVersion:
        """The same content has the same version, whoever deploys it and when."""
        content = [
            self.handler,
            code_digest,
            float(self.timeout_sec),
            self.memory_bytes,
            dict(self.env),
            self.role,
        ]
        digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
        return FunctionVersion(
            version=digest[:_VERSION_DIGITS],
            handler=self.handler,
            code_digest=code_digest,
            timeout_sec=float(self.timeout_sec),
            memory_bytes=self.memory_bytes,
            env=dict(self.env),
            role=self.role,
        )

    def settings(self) -> dict[str, Any]:
        """The fields of a Function that may change without a new version."""
        return {
            "enabled": self.enabled,
            "concurrency": self.concurrency,
            "rate_per_sec": float(self.rate_per_sec),
            "max_queue_age_sec": self.max_queue_age_sec,
            "claim_ahead_sec": float(self.claim_ahead_sec),
            "events": self.events,
        }


def notes(function: Function) -> list[str]:
    """What a deployer should know about the result, in sentences; empty when there is nothing to say."""
    if function.concurrency >= function.queue_partitions:
        return []
    return [
        f"{function.name}: concurrency {function.concurrency} is below its {function.queue_partitions} queue "
        f"partitions, which are fixed at creation: one executor keeps to it, several run one each at the least, up to "
        f"{function.queue_partitions} together. To change the partitions, delete the function and create it again."
    ]
