from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable

from processor.core.clock import Clock
from processor.core.inflight import executor_id
from processor.executor.abstract import Pool
from processor.executor.caution import Caution, young_deaths
from processor.executor.codes import CodeFinder, CodeStore
from processor.executor.incarnation import POOL_SEC, ExecutorSettings, Incarnation
from processor.registry.registry import Registry
from processor.transport.abstract import Transport

log = logging.getLogger(__name__)

BACK_OFF_SEC = 1.0


class ExecutorService:
    """One executor role: an incarnation that claims, and earlier ones of it that only finish their runs.

    Whenever the claiming one can claim no more (declared dead, or a claim that nobody can decide), a new one begins at
    once beside it; it must not wait for runs that may take a day.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        registry: Registry,
        code_store: CodeStore,
        clock: Clock,
        settings: ExecutorSettings,
        pool: Callable[[], Pool],
        recover_earlier: Callable[[], object] | None = None,
    ) -> None:
        """pool: makes the pool of one incarnation. recover_earlier: run before the first one begins, and given only
        when this process holds the lock of its executor name.
        """
        self._transport = transport
        self._registry = registry
        self._codes = CodeFinder(registry, code_store)
        self._clock = clock
        self._settings = settings
        self._new_pool = pool
        self._recover_earlier = recover_earlier
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._living: dict[threading.Thread, Incarnation] = {}
        #: Of the last incarnation that began.
        self._caution: Caution | None = None
        #: It ended by an error, holding runs.
        self._failed = False
        self._supervisor = threading.Thread(target=self._supervise, name=f"executor {settings.name}", daemon=True)
        self._wake = threading.Event()
        #: It was asked on `control` to stop, and does.
        self.drain_requested = False

    def start(self) -> None:
        self._supervisor.start()

    def stop(self) -> None:
        """Drain: claim no more, finish what runs, within the drain limit."""
        self._stopping.set()
        self._each(Incarnation.stop)

    def join(self, timeout_sec: float) -> bool:
        self._supervisor.join(timeout_sec)
        return not self._supervisor.is_alive()

    def kill(self) -> None:
        """Now: runs are killed, their verdicts are written."""
        self._stopping.set()
        self._each(Incarnation.stop_now)

    def _each(self, act: Callable[[Incarnation], None]) -> None:
        with self._lock:
            for incarnation in self._living.values():
                act(incarnation)
        self._wake.set()

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            try:
                self._begin()
            except Exception as error:
                log.error("executor cannot begin: %s", error, exc_info=error, extra={"action": "executor_retry"})
            while self._claiming() and not self._stopping.is_set():
                self._wake.wait(BACK_OFF_SEC / 4)
                self._wake.clear()
                self._follow_drain()
            self._follow_drain()
            # Whatever ends one at once may end the next: a successor costs a guard process and a group member.
            self._stopping.wait(BACK_OFF_SEC)
        for thread in list(self._living):
            thread.join()

    def _follow_drain(self) -> None:
        """Who is asked to drain one incarnation means the executor: a successor would claim what it leaves."""
        with self._lock:
            requested = any(one.drain.requested for one in self._living.values())
        if requested and not self._stopping.is_set():
            self.drain_requested = True
            self.stop()

    def _begin(self) -> None:
        if self._recover_earlier is not None:
            self._recover_earlier()
            self._recover_earlier = None
        self._caution = self._next_caution()
        incarnation = self._incarnation(self._caution)
        thread = threading.Thread(target=self._live, args=(incarnation,), name=incarnation.executor, daemon=True)
        with self._lock:
            self._living = {each: one for each, one in self._living.items() if each.is_alive()}
            self._living[thread] = incarnation
            if self._stopping.is_set():
                incarnation.stop()
        thread.start()

    def _next_caution(self) -> Caution:
        """Of one that begins in the place of the last one, which may have been another process."""
        before, now_sec = self._caution, self._clock.boottime()
        if before is None:
            deaths = young_deaths(self._transport, self._clock, self._settings.name)
        elif self._failed:
            deaths = before.if_it_died_now(now_sec)
        else:
            deaths = before.young_deaths if before.careful(now_sec) else 0
        self._failed = False
        caution = Caution(deaths, now_sec)
        if deaths:
            log.warning(
                "%d executors of this name in a row died soon after they began. This one %sclaims one run more with "
                "each that ends. What was logged last before they died says why (memory of the host or container?)",
                deaths,
                f"waits {caution.pause_sec:g} s, then " if caution.pause_sec else "",
                extra={"action": "executor_careful"},
            )
        return caution

    def _incarnation(self, caution: Caution) -> Incarnation:
        pool = self._new_pool()
        try:
            return Incarnation(
                executor=executor_id(self._settings.name, uuid.uuid4().hex[:12]),
                transport=self._transport,
                registry=self._registry,
                codes=self._codes,
                pool=pool,
                clock=self._clock,
                settings=self._settings,
                caution=caution,
            )
        except BaseException:
            pool.join(POOL_SEC)
            raise

    def _live(self, incarnation: Incarnation) -> None:
        try:
            incarnation.run()
        except Exception as error:
            self._failed = incarnation.counts.claimed > 0
            log.error("incarnation failed: %s", error, exc_info=error, extra={"action": "incarnation_failed"})
        finally:
            self._wake.set()

    def _claiming(self) -> bool:
        with self._lock:
            return any(thread.is_alive() and not one.retired for thread, one in self._living.items())
