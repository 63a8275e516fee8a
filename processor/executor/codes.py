from __future__ import annotations

from pathlib import Path
from typing import Protocol

from processor.core.function import FunctionVersion
from processor.executor.abstract import FunctionCode
from processor.registry.registry import Registry

#: The executor's loop waits for it, and its guard for the loop: several such calls have to fit into 10 s.
CATCH_UP_SEC = 2.0


class CodeStore(Protocol):
    def path(self, digest: str) -> Path | None:
        """The unpacked code of this digest, or None when this host does not have it."""


class CodeFinder:
    """From (function, version) of a queue record to what an instance needs; remembers what it found."""

    def __init__(self, registry: Registry, store: CodeStore, *, catch_up_sec: float = CATCH_UP_SEC) -> None:
        self._registry = registry
        self._store = store
        self._catch_up_sec = catch_up_sec
        self._found: dict[tuple[str, str], FunctionCode] = {}

    def find(self, name: str, version: str) -> FunctionCode | None:
        """Blocks to read `functions` to its end when the version is not known yet. None: it does not exist, or its
        code is not on this host. Raises TransportUnavailable: it cannot be told yet.
        """
        known = self._found.get((name, version))
        if known is None:
            known = self._look_up(name, version)
            if known is not None:
                self._found[(name, version)] = known
        return known

    def _look_up(self, name: str, version: str) -> FunctionCode | None:
        wanted = self._version(name, version)
        if wanted is None:
            self._registry.catch_up(self._catch_up_sec)
            wanted = self._version(name, version)
        if wanted is None:
            return None
        path = self._store.path(wanted.code_digest)
        if path is None:
            return None
        return FunctionCode(
            name=name,
            version=wanted.version,
            handler=wanted.handler,
            code_dir=path,
            timeout_sec=wanted.timeout_sec,
            memory_bytes=wanted.memory_bytes,
            env=wanted.env,
        )

    def _version(self, name: str, version: str) -> FunctionVersion | None:
        function = self._registry.view.get(name)
        return function.find(version) if function else None
