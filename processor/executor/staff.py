from __future__ import annotations

import logging
import signal
from collections.abc import Mapping

from processor.core.clock import Clock
from processor.executor import verdict
from processor.executor.crew import Crew
from processor.executor.deadline import Rung
from processor.executor.instance import Instance, Owner, State
from processor.executor.memory import processes, used_bytes
from processor.executor.nursery import Nursery
from processor.executor.options import PoolOptions
from processor.executor.watch import Watch

log = logging.getLogger(__name__)


class Staff:
    """All living instances: how many there may be, how they are asked for, ended and struck off."""

    def __init__(
        self,
        *,
        options: PoolOptions,
        clock: Clock,
        watch: Watch,
        nursery: Nursery,
        crews: Mapping[tuple[str, str], Crew],
    ) -> None:
        self._options = options
        self._clock = clock
        self._watch = watch
        self._nursery = nursery
        self._crews = crews
        self._living = 0
        #: Bytes that instances wrote while they had no run.
        self.late_bytes = 0

    def grow(self, crew: Crew, owner: Owner) -> bool:
        """Asks for the instances that a crew's waiting runs need; they report when they are ready.

        False: there is no room for one of them now.
        """
        if crew.zygote is None or not crew.zygote.ready:
            return True
        return all(self._make_room(crew) and self._bear(crew, owner) for _ in range(crew.missing))

    def kill(self, instance: Instance) -> None:
        """SIGKILL to it; its zygote kills the rest of its tree and reports it gone."""
        self.leave_ranks(instance)
        instance.state = State.ENDING
        instance.ladder.kill(self._clock.boottime())
        instance.ends.signal(signal.SIGKILL)

    def end(self, instance: Instance, grace_sec: float) -> None:
        """SIGTERM, and `kill` after the grace; without one at once. Asked again, it can only come sooner."""
        now_sec = self._clock.boottime()
        if grace_sec <= 0:
            if instance.state is not State.ENDING:
                self.kill(instance)
        elif instance.ladder.rung is Rung.RUNS:
            instance.ends.signal(signal.SIGTERM)
            instance.ladder.ask(now_sec, grace_sec)
        elif instance.ladder.rung is Rung.ASKED:
            instance.ladder.ask(now_sec, min(grace_sec, instance.ladder.due_sec - now_sec))

    def look_after(self, instance: Instance, now_sec: float) -> None:
        """Ends it when it was idle for too long or its processes use more memory than they may."""
        if instance.state is State.IDLE and now_sec - instance.idle_since_sec > self._options.idle_sec:
            self.kill(instance)
        limit_bytes = instance.crew.code.memory_bytes
        if instance.state is State.RUNNING and limit_bytes is not None:
            self._check_memory(instance, limit_bytes)
        if instance.state is State.RUNNING and self._nursery.must_count:
            self._check_processes(instance)

    def _check_processes(self, instance: Instance) -> None:
        limit, run = self._options.max_processes, instance.run
        if run is not None and run.verdict is None and processes(instance.pid, limit + 1) > limit:
            run.verdict = verdict.too_many_processes(limit)
            self.kill(instance)

    def _check_memory(self, instance: Instance, limit_bytes: int) -> None:
        used = used_bytes(instance.pid, limit_bytes)
        run = instance.run
        if used > limit_bytes and run is not None and run.verdict is None:
            run.verdict = verdict.out_of_memory(limit_bytes, used)
            instance.peak_mb = used / (1024 * 1024)
            self.kill(instance)

    def discard(self, instance: Instance) -> None:
        """It is gone."""
        if instance.crew.members.pop(instance.number, None) is None:
            return
        self.leave_ranks(instance)
        instance.state = State.ENDING
        self._living -= 1
        self.late_bytes += instance.late_bytes
        for descriptor in instance.ends.ours:
            self._watch.remove(descriptor)
        instance.ends.close()

    def leave_ranks(self, instance: Instance) -> None:
        """It gets no run any more."""
        if instance.state is State.STARTING:
            instance.crew.starting -= 1
        elif instance.state is State.IDLE and instance in instance.crew.idle:
            instance.crew.idle.remove(instance)

    def _bear(self, crew: Crew, owner: Owner) -> bool:
        number = self._nursery.take_number()
        try:
            instance = Instance(number=number, crew=crew, owner=owner, clock=self._clock, policy=self._options.end)
        except OSError as error:
            log.warning("no instance of %s: %s", crew.code.name, error, extra={"action": "instance_unborn"})
            return False
        crew.members[number] = instance
        crew.starting += 1
        self._living += 1
        instance.ladder.start(self._clock.boottime() + self._options.init_limit_sec)
        self._watch.add(instance.ends.socket.fileno(), instance.on_socket)
        self._watch.add(instance.ends.stdout, instance.on_stdout)
        self._watch.add(instance.ends.stderr, instance.on_stderr)
        asked = self._nursery.request_instance(instance)
        instance.ends.close_theirs()
        if not asked:
            self.discard(instance)
        return asked

    def _make_room(self, crew: Crew) -> bool:
        """Where too many instances live, the one of another function that is idle for longest makes room."""
        if self._living < self._options.instance_limit:
            return True
        others = [each.idle[0] for each in self._crews.values() if each.idle and each is not crew]
        if others:
            self.kill(min(others, key=lambda each: each.idle_since_sec))
        return False
