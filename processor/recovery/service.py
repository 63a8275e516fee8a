from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Mapping

from processor.core.clock import Clock
from processor.core.inflight import executor_id
from processor.core.loop import LoopService
from processor.recovery.procedure import Recovery
from processor.recovery.signs import LifeSigns
from processor.transport.abstract import Transport

log = logging.getLogger(__name__)

#: Open intents that could not be decided are looked at again this often: a paused commit may still land.
LOOK_AGAIN_SEC = 5.0
#: Who wrote a mark closes the claims at once. The others look this much later, in case it died in between: doing the
#: same at the same time they would write a verdict each, of which one counts.
OTHERS_FIRST_SEC = 10.0
#: The longest pause between two looks; after it an executor is done with.
LAST_LOOK_SEC = 200.0


class RecoveryService(LoopService):
    """Watches life signs, declares the silent dead and closes what they held. Runs beside each dispatcher."""

    def __init__(self, *, transport: Transport, clock: Clock, name: str) -> None:
        super().__init__(f"recovery {name}")
        self._transport = transport
        self._clock = clock
        self._name = name

    def serve(self) -> None:
        process = executor_id(self._name, f"recovery-{uuid.uuid4().hex[:12]}")
        recovery = Recovery(self._transport, self._clock, process)
        signs = LifeSigns(self._transport, self._clock, process)
        agenda = RecoveryAgenda(process)
        try:
            while not self.stopping.is_set():
                signs.beat_and_read()
                if silent := signs.watch.to_declare():
                    names = ", ".join(each.process for each in silent)
                    log.warning("declared dead: %s", names, extra={"action": "declare_dead"})
                    recovery.declare({each.process: each.after for each in silent})
                now_sec = self._clock.boottime()
                agenda.add(signs.watch.dead(), now_sec)
                if due := agenda.due(now_sec):
                    agenda.looked(due, open_claims=recovery.close_claims(due), now_sec=now_sec)
        finally:
            signs.close()


class RecoveryAgenda:
    """When to look at whose open intents.

    Again and again while something cannot be decided, since a paused commit may still land; and some more times after
    that, since one that was slow to notice its mark may have claimed once more.
    """

    def __init__(self, own: str) -> None:
        """own: what marks of ours bear."""
        self._own = own
        self._next_sec: dict[str, float] = {}
        self._pause_sec: dict[str, float] = {}

    def add(self, dead: Mapping[str, str], now_sec: float) -> None:
        """dead: executors, and who wrote the mark of each."""
        for executor in dead.keys() - self._pause_sec.keys():
            self._next_sec[executor] = now_sec if dead[executor] == self._own else now_sec + OTHERS_FIRST_SEC
            self._pause_sec[executor] = LOOK_AGAIN_SEC

    def due(self, now_sec: float) -> list[str]:
        return [executor for executor, at_sec in self._next_sec.items() if at_sec <= now_sec]

    def looked(self, executors: Collection[str], *, open_claims: int, now_sec: float) -> None:
        for executor in executors:
            if not open_claims:
                self._pause_sec[executor] *= 3
            if self._pause_sec[executor] > LAST_LOOK_SEC:
                del self._next_sec[executor]
            else:
                self._next_sec[executor] = now_sec + self._pause_sec[executor]
