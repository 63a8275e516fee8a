from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from processor.core.clock import Clock, SystemClock
from processor.core.failpoints import failpoint
from processor.core.function import Function, encode_function
from processor.core.topics import FUNCTIONS, QUEUE_PREFIX, queue_topic
from processor.registry.code_store import CodeStore
from processor.registry.errors import DeployConflict, NotDeployed
from processor.registry.plan import plan_deploy
from processor.registry.spec import FunctionSpec
from processor.registry.view import FunctionsView, encode_grave
from processor.transport.abstract import Reader, Transport, TransportUnavailable
from processor.transport.replay import read_until

#: Each call to the broker while deploying.
_CALL_SEC = 30.0
_BATCH = 1_000
#: A deploy that comes in between may undo it once; not every time.
_SWITCH_ATTEMPTS = 3


class Registry:
    """The functions, as this process knows them, and the way to change them. Thread-safe; one per process.

    `view` is what has been read so far: `get`, `all` and `by_queue_topic` of it never block.
    """

    def __init__(self, transport: Transport, clock: Clock | None = None) -> None:
        self.view = FunctionsView()
        self._transport = transport
        self._clock = clock or SystemClock()
        self._reader: Reader | None = None
        #: Guards the reader and `view.apply`.
        self._reading = threading.Lock()
        self._deploying = threading.Lock()

    def start(self, timeout_sec: float = _CALL_SEC) -> None:
        """Reads `functions` to its end. Blocks. Raises UnknownTopic, TransportUnavailable."""
        with self._reading:
            self._reader = reader = self._transport.reader()
        try:
            partitions = reader.partitions(FUNCTIONS.name, timeout_sec)
            bounds = reader.bounds(partitions, timeout_sec)
            reader.assign({each: bounds[each].low for each in partitions})
            self.catch_up(timeout_sec)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        with self._reading:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def refresh(self) -> None:
        """Takes in what has already arrived; never blocks, not even for a catch_up that is going on elsewhere."""
        if not self._reading.acquire(blocking=False):
            return
        try:
            if self._reader is not None:
                self._take_in(self._reader)
        finally:
            self._reading.release()

    def catch_up(self, timeout_sec: float) -> None:
        """Reads `functions` to its present end: afterwards `view` has every record that was durable before the call.

        Blocks. Raises TransportUnavailable, also when the registry is not started.
        """
        with self._reading:
            reader = self._reader
            if reader is None:
                raise TransportUnavailable("the registry is not started")
            bounds = reader.bounds(reader.positions().keys(), timeout_sec)
            ends = {partition: bound.high for partition, bound in bounds.items()}
            for record in read_until(reader, ends, self._clock, timeout_sec=timeout_sec):
                self.view.apply(record)

    def deploy(
        self, wanted: FunctionSpec, store: CodeStore, *, actor: str, expected_revision: int | None = None
    ) -> Function:
        """Makes the function what is wanted, and returns it as it is on the log. Identical content changes nothing.

        Order: snapshot the code, create the queue, append the record; so whoever reads the record finds the rest.
        actor: who deploys, for the record's headers. expected_revision: fail unless the function has this revision.
        Blocks for seconds. Raises AsyncExecutionLocked, DeployConflict, CodeRefused, TransportError.
        """
        digest = store.snapshot(wanted.code, without=wanted.not_code)
        with self._deploying:
            self.catch_up(_CALL_SEC)
            existing = self.view.get(wanted.name)
            planned = plan_deploy(
                existing,
                wanted,
                digest,
                creation=self._next_creation(wanted.name) if existing is None else existing.creation,
                expected_revision=expected_revision,
            )
            if planned is existing and wanted.name not in self.view.unsettled:
                return planned
            self._write(planned, actor)
            now = self._settled(wanted.name, actor)
            if now is None or now.current.version != planned.current.version:
                raise DeployConflict(wanted.name, "somebody else's change came right after it")
            return now

    def set_paused(self, name: str, paused: bool, *, actor: str) -> Function:
        """Stops or resumes the claiming of its events, and returns it as it is on the log. Nothing happens when it is
        so already. Blocks for seconds. Raises NotDeployed, DeployConflict, TransportError.
        """
        return self._switch(name, actor, "paused", paused)

    def set_enabled(self, name: str, enabled: bool, *, actor: str) -> Function:
        """The same for the acceptance of its events; the next deploy sets it as its manifest says."""
        return self._switch(name, actor, "enabled", enabled)

    def _switch(self, name: str, actor: str, what: str, value: bool) -> Function:
        with self._deploying:
            self.catch_up(_CALL_SEC)
            function = self.view.get(name)
            if function is None:
                raise NotDeployed(name)
            if getattr(function, what) == value and name not in self.view.unsettled:
                return function
            for _ in range(_SWITCH_ATTEMPTS):
                changed: dict[str, Any] = {what: value, "revision": function.revision + 1}
                self._write(replace(function, **changed), actor)
                now = self._settled(name, actor)
                if now is None:
                    raise NotDeployed(name)
                if getattr(now, what) == value:
                    return now
                function = now
            raise DeployConflict(name, "others change it all the time")

    def remove(self, name: str, *, actor: str) -> None:
        """Removes a function that is closed and drained: its queue is no longer read. Blocks.

        Raises NotDeployed, TransportError.
        """
        with self._deploying:
            self.catch_up(_CALL_SEC)
            function = self.view.get(name)
            if function is None:
                raise NotDeployed(name)
            self._append(name, encode_grave(function.creation), actor)
            self.catch_up(_CALL_SEC)

    def _next_creation(self, name: str) -> int:
        """No queue that ever existed is used again: the executors' group has committed offsets for it."""
        prefix = f"{QUEUE_PREFIX}{name}."
        topics = self._transport.admin().topics(_CALL_SEC)
        numbers = [topic[len(prefix) :] for topic in topics if topic.startswith(prefix)]
        queues = max((int(each) for each in numbers if each.isdecimal()), default=0)
        return max(queues, self.view.last_creation(name)) + 1

    def _write(self, function: Function, actor: str) -> None:
        queue = queue_topic(function.queue_topic, function.queue_partitions)
        self._transport.admin().create_topics([queue], _CALL_SEC)
        self._append(function.name, encode_function(function), actor)

    def _settled(self, name: str, actor: str) -> Function | None:
        """Looks whether another process wrote at the same time; the last record holds, with the versions of both."""
        self.catch_up(_CALL_SEC)
        now = self.view.get(name)
        if now and name in self.view.unsettled:
            self._write(replace(now, revision=now.revision + 1), actor)
            self.catch_up(_CALL_SEC)
            now = self.view.get(name)
        return now

    def _append(self, name: str, value: bytes, actor: str) -> None:
        producer = self._transport.producer()
        try:
            headers = (("actor", actor.encode()),)
            failpoint("functions.append.before")
            producer.append(FUNCTIONS.name, value, key=name.encode(), partition=0, headers=headers)
            producer.flush(_CALL_SEC)
            failpoint("functions.append.after")
        finally:
            producer.close()

    def _take_in(self, reader: Reader) -> None:
        for record in reader.poll(_BATCH, 0.0):
            self.view.apply(record)
