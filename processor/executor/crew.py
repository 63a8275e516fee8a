from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from processor.executor.abstract import FunctionCode, Line
from processor.executor.verdict import Verdict

if TYPE_CHECKING:
    from processor.executor.instance import Instance, Run
    from processor.executor.zygote import Zygote

#: So many zygotes of a version may die, without an instance getting ready, before its waiting runs are ended.
MAX_LOSSES = 3
#: After a failed start of a version its runs get the same verdict for this long, doubled with each failure in a row.
FIRST_BACK_OFF_SEC = 1.0
MAX_BACK_OFF_SEC = 60.0


@dataclass(slots=True)
class BackOff:
    """Why a version cannot start at the moment."""

    verdict: Verdict
    until_sec: float
    length_sec: float


class Crew:
    """Everything of one function version: its zygote, its instances and the runs that wait for one."""

    def __init__(self, code: FunctionCode) -> None:
        self.code = code
        self.concurrency = 1
        self.queue: deque[Run] = deque()
        #: The last one used is on top, so that the others can retire.
        self.idle: list[Instance] = []
        #: By number; those that start or end included.
        self.members: dict[int, Instance] = {}
        self.busy = 0
        self.starting = 0
        self.zygote: Zygote | None = None
        self.back_off: BackOff | None = None
        #: Zygotes that died, without an instance getting ready in between.
        self.losses = 0
        self.used_at_sec = 0.0
        #: What the module said while it was imported; goes to the first run.
        self.init_lines: list[Line] = []

    @property
    def has_hand_free(self) -> bool:
        return bool(self.idle) and self.busy < self.concurrency

    @property
    def missing(self) -> int:
        """Instances to be started for the runs that wait."""
        return min(len(self.queue) - self.starting - len(self.idle), self.concurrency - len(self.members))

    def failing(self, now_sec: float) -> Verdict | None:
        """The verdict for a run of a version that failed to start a moment ago."""
        if self.back_off is None or now_sec >= self.back_off.until_sec:
            return None
        return self.back_off.verdict

    def failed(self, verdict: Verdict, now_sec: float) -> None:
        length_sec = FIRST_BACK_OFF_SEC if self.back_off is None else self.back_off.length_sec * 2
        length_sec = min(length_sec, MAX_BACK_OFF_SEC)
        self.back_off = BackOff(verdict, now_sec + length_sec, length_sec)

    def succeeded(self) -> None:
        self.back_off = None
        self.losses = 0
