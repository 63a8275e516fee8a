"""What the executor's loop asks of the processes that run functions.

One thread owns a pool and calls everything here. Nothing blocks but `wait`, `poll` with a timeout and `join`. Every
`start_run` is answered by exactly one RunEnded, whatever happens to the instance, its zygote, the guard or the fork.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from processor.core.errors import HeadraceError
from processor.core.ledger import Ended
from processor.core.run import Delivery, RunError, StatusCode


class PoolStopped(HeadraceError):
    """The pool was stopped and takes no more runs."""


class GuardNotStarted(HeadraceError):
    """The guard process, without which no function is run, does not start."""

    remedy = "Look at the guard's own message on standard error; memory or process limits are the usual cause."


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionCode:
    """What an instance needs of one function version. (name, version) is the key of its processes."""

    name: str
    version: str
    #: "module:callable"
    handler: str
    #: Unpacked code: the working directory and first on the import path.
    code_dir: Path
    timeout_sec: float
    memory_bytes: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        return (self.name, self.version)


class RunInput(NamedTuple):
    request_id: str
    #: Unique among all open runs of a pool.
    delivery: str
    #: The event as a CloudEvents structured-mode JSON document; never parsed outside the instance.
    payload: bytes
    #: "data": the handler gets the event's data; "cloudevents": the whole event as a dict.
    event_format: str = "data"
    #: More for the handler's context, e.g. client_context; JSON values only.
    meta: Mapping[str, object] | None = None


#: seq (from 1, without gaps), stream (stdout, stderr, logging, platform), level of `logging`, Unix milliseconds, text
Line = tuple[int, str, str | None, int, str]


class LogLines(NamedTuple):
    """Lines of one run in the order they were read; at most 50 ms old."""

    request_id: str
    delivery: str
    function: str
    lines: list[Line]


class RunProgressed(NamedTuple):
    """How far the run says that it is."""

    request_id: str
    delivery: str
    function: str
    #: 0 to 1.
    fraction: float
    message: str
    at_ms: int


class RunStarted(NamedTuple):
    """The event was written to an instance; its time limit runs from here."""

    request_id: str
    delivery: str
    function: str
    instance: str
    cold_start: bool
    started_at_ms: int


class RunEnded(NamedTuple):
    """The verdict. All lines of the run came before it, and after any code but 200 its processes are gone."""

    request_id: str
    delivery: str
    function: str
    status_code: StatusCode
    error: RunError | None = None
    #: JSON; None also for a handler that returned None.
    result: bytes | None = None
    #: "" and None when it never reached an instance.
    instance: str = ""
    cold_start: bool = False
    started_at_ms: int | None = None
    duration_ms: float = 0.0
    #: Highest resident size of the instance so far, in MiB.
    memory_mb: float | None = None
    log_lines: int = 0

    def record(self, executor: str, ended_at_ms: int) -> Ended:
        return Ended(
            request_id=self.request_id,
            function=self.function,
            delivery=Delivery.parse(self.delivery),
            status_code=self.status_code,
            error=self.error,
            result=self.result,
            executor=executor,
            instance=self.instance,
            cold_start=self.cold_start,
            started_at_ms=self.started_at_ms,
            ended_at_ms=ended_at_ms,
            duration_ms=round(self.duration_ms, 3),
            memory_mb=self.memory_mb,
            log_lines=self.log_lines,
        )


class InstanceChanged(NamedTuple):
    """For metrics and the console only."""

    instance: str
    function: str
    version: str
    #: False: its whole process tree is gone.
    alive: bool


PoolEvent = LogLines | RunProgressed | RunStarted | RunEnded | InstanceChanged


class Pool(Protocol):
    def start(self, may_start: Callable[[], bool] = lambda: True) -> None:
        """Starts the guard process. Raises GuardNotStarted.

        may_start: asked right before an instance gets a run, so it must be quick; while it says no, runs wait. A run
        that waited for its instance through a silence of the executor is as much a hand-over as any other.
        """

    def free_slots(self) -> int:
        """Runs that would start now, were they given."""

    def start_run(self, code: FunctionCode, run: RunInput, *, concurrency: int) -> None:
        """Runs it on an idle instance, or lets it wait its turn for one. Raises PoolStopped.

        concurrency: instances of this function version that may run at the same time, from now on.
        """

    def kill(self, delivery: str, code: StatusCode, message: str, *, grace_sec: float = 0.0) -> bool:
        """Ends an open run with this verdict unless it has one already (then False). Running: SIGTERM, and SIGKILL of
        the tree after the grace; without grace SIGKILL at once. Waiting: ended without having started.

        A run that has its verdict and still its grace is killed sooner when it is asked to be.
        """

    def kill_all(self, code: StatusCode, message: str) -> None:
        """`kill` for every open run, without grace."""

    def wait(self, timeout_sec: float) -> None:
        """Blocks until the next `poll` has something to return, at most timeout_sec."""

    def poll(self, timeout_sec: float = 0.0) -> list[PoolEvent]:
        """What happened since the last call; waits up to timeout_sec for something to happen. Has to be called at
        least once a second: it pets the guard, which kills everything after some seconds without.
        """

    def stop(self) -> None:
        """No more runs are taken; open ones go on. Keep polling until they have ended, then `join`."""

    def join(self, timeout_sec: float) -> bool:
        """Ends every process and frees the descriptors; runs that are still open get no event any more. Blocks until
        the guard has gone, at most timeout_sec; a guard that lingers goes on killing on its own. True: nothing is left.
        """
