from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from processor.core.failpoints import failpoint
from processor.core.run import RunError, StatusCode
from processor.executor.load import Load
from processor.executor.partition import Taken
from processor.executor.runbook import RunBook


class Held:
    """What is claimed and written down as started, and not given to the pool yet, in its order."""

    def __init__(self, runbook: RunBook, load: Load) -> None:
        self._runbook = runbook
        self._load = load
        self._waiting: deque[Taken] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, claimed: Iterable[Taken], is_cancelled: Callable[[Taken], bool]) -> list[Taken]:
        """Writes `started` for what was claimed; or the verdict, of what will not be started. Returns the former."""
        begun = []
        for taken in claimed:
            # Asked again: of a commit that had to be read back, it can have been cancelled since.
            end = StatusCode.CANCELLED if is_cancelled(taken) else taken.unstarted
            if end is None:
                begun.append(taken)
                self._runbook.started(taken)
            else:
                self._runbook.unstarted(taken, end)
        self._waiting.extend(begun)
        return begun

    def give_while(self, may: Callable[[], bool], give: Callable[[Taken], bool]) -> None:
        """One after the other. may: asked right before each, and once when there is none. give False: it stays held."""
        while may() and self._waiting:
            failpoint("handover.before")
            if not give(self._waiting[0]):
                break
            failpoint("handover.after")
            self._waiting.popleft()

    def refuse_missing(self, taken: Taken) -> None:
        """The verdict of one whose code is not here."""
        missing = f"version {taken.stamp.version} of function {taken.stamp.function!r} is not on this host"
        self._refuse(taken, StatusCode.FUNCTION_NOT_FOUND, RunError(type="FunctionNotFound", message=missing))

    def refuse_all(self, message: str) -> None:
        while self._waiting:
            error = RunError(type="InstanceLost", message=message)
            self._refuse(self._waiting.popleft(), StatusCode.INSTANCE_LOST, error)

    def cancel(self, is_cancelled: Callable[[Taken], bool]) -> None:
        waiting, self._waiting = self._waiting, deque()
        for taken in waiting:
            if is_cancelled(taken):
                self._load.of(taken.stamp.function).open -= 1
                self._runbook.unstarted(taken, StatusCode.CANCELLED)
            else:
                self._waiting.append(taken)

    def _refuse(self, taken: Taken, code: StatusCode, error: RunError) -> None:
        self._load.of(taken.stamp.function).open -= 1
        self._runbook.refused(taken, code, error)
