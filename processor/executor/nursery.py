"""Guard, zygotes and births: the slow side of the pool, where processes begin and are reported gone."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Protocol

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.run import RunError
from processor.executor import sandbox, verdict
from processor.executor.containment import describe
from processor.executor.crew import Crew
from processor.executor.folders import PoolFolder
from processor.executor.guard import Guard
from processor.executor.instance import Instance, State
from processor.executor.options import PoolOptions
from processor.executor.orphans import Orphans
from processor.executor.runtime.channel import Message
from processor.executor.verdict import Verdict
from processor.executor.watch import Watch
from processor.executor.zygote import Zygote

log = logging.getLogger(__name__)

GUARD_BACK_OFF_SEC = 1.0
#: What a lost guard leaves dies within milliseconds; the loop waits for it, so that verdicts come after.
ORPHANS_SEC = 2.0


class Household(Protocol):
    """Whoever has the instances: the pool."""

    def on_ready(self, crew: Crew) -> None:
        """Instances of it can be asked for."""

    def on_zygote_lost(self, crew: Crew, *, expected: bool) -> None:
        """It had been ready. Its instances were reported gone before."""

    def on_failed(self, crew: Crew, why: Verdict) -> None:
        """Its module cannot be imported; its zygote is gone or will be."""

    def on_born(self, instance: Instance) -> None:
        """Its pid is known: it can be killed now."""

    def on_unborn(self, crew: Crew, instance: Instance, reason: str) -> None: ...

    def on_gone(self, instance: Instance, status: int | None, peak_mb: float | None) -> None:
        """No process of it is left. status: as of waitpid; None when nobody saw it."""


class Nursery:
    def __init__(self, *, options: PoolOptions, clock: Clock, watch: Watch, household: Household) -> None:
        self._options = options
        self._clock = clock
        self._watch = watch
        self._household = household
        self._folder: PoolFolder | None = None
        self._guard: Guard | None = None
        self._guard_due_sec = 0.0
        self._orphans = Orphans()
        self._next_number = 1
        #: By number.
        self._zygotes: dict[int, Crew] = {}

    def start(self) -> None:
        """Raises OSError, NoControlGroups."""
        options = self._options
        folder = self._folder = PoolFolder.make(options.data_dir, options.containment, options.max_processes)
        held = [folder.lock_fd] + ([] if options.lock_fd is None else [options.lock_fd])
        try:
            self._guard = Guard(
                root=folder.path, pet_limit_sec=options.pet_limit_sec, groups=folder.groups, held_fds=held
            )
        except OSError:
            folder.abandon()
            raise
        log.info("%s", describe(folder.groups), extra={"action": "containment"})
        self._orphans.adopt()
        self._watch.add(self._guard.fileno(), self._on_guard)
        self._guard.pet(self._clock.boottime())

    @property
    def must_count(self) -> bool:
        """The kernel does not limit the number of an instance's processes."""
        return self._folder is None or not self._folder.groups.limit_folder

    @property
    def guard_pid(self) -> int:
        return self._guard.pid if self._guard else 0

    def pet(self, now_sec: float) -> None:
        if self._guard is not None:
            self._guard.pet(now_sec)

    def tick(self, now_sec: float) -> None:
        """Modules that take too long, and a guard that has to be replaced."""
        if self._guard is None and now_sec >= self._guard_due_sec:
            self._restart()
        self._orphans.look()
        for crew in list(self._zygotes.values()):
            zygote = crew.zygote
            if zygote is None:
                continue
            if any(each.state is State.ENDING for each in crew.members.values()):
                zygote.wake()
            if not zygote.ready and now_sec >= zygote.init_limit_at_sec:
                zygote.timed_out = True
                zygote.kill()

    def request_zygote(self, crew: Crew) -> bool:
        """Starts importing. False: not now. Raises OSError when there are no descriptors left."""
        if self._guard is None or self._folder is None:
            return False
        number = self.take_number()
        limit_at_sec = self._clock.boottime() + self._options.init_limit_sec
        folder = str(self._folder.path / f"z{number}")
        zygote = Zygote(number=number, folder=folder, clock=self._clock, init_limit_at_sec=limit_at_sec)
        asked = self._guard.start_zygote(
            number,
            folder=folder,
            arguments=[crew.code.handler, str(crew.code.code_dir)],
            env=sandbox.environment(crew.code, folder),
            descriptors=zygote.ends.theirs,
        )
        zygote.ends.close_theirs()
        if not asked:
            zygote.ends.close()
            return False
        crew.zygote = zygote
        self._zygotes[number] = crew
        self._watch.add(zygote.channel.fileno(), lambda: self._on_zygote(crew, zygote))
        self._watch.add(zygote.ends.stdout, lambda: self._on_output(zygote.ends.stdout, zygote.on_stdout))
        self._watch.add(zygote.ends.stderr, lambda: self._on_output(zygote.ends.stderr, zygote.on_stderr))
        return True

    def request_instance(self, instance: Instance) -> bool:
        """False: not now."""
        zygote = instance.crew.zygote
        if zygote is None or not zygote.ready:
            return False
        return zygote.fork(instance.number, instance.ends.theirs)

    def retire_zygote(self, crew: Crew) -> None:
        if crew.zygote is not None:
            crew.zygote.retired = True
            crew.zygote.kill()

    def end(self, timeout_sec: float) -> bool:
        """Kills everything. Blocks; True: nothing is left."""
        guard, self._guard = self._guard, None
        self._guard_due_sec = float("inf")
        ended = guard is None or self._end_guard(guard, timeout_sec)
        for number in list(self._zygotes):
            self._bury(number)
        self._orphans.stop()
        if self._folder is not None:
            self._folder.close()
        return ended

    def _end_guard(self, guard: Guard, timeout_sec: float) -> bool:
        self._watch.remove(guard.fileno())
        return guard.end(timeout_sec)

    def take_number(self) -> int:
        """Zygotes and instances are numbered together."""
        number = self._next_number
        self._next_number += 1
        return number

    def _restart(self) -> None:
        self._guard_due_sec = self._clock.boottime() + GUARD_BACK_OFF_SEC
        try:
            self.start()
        except (OSError, HeadraceError) as error:
            log.error("the guard does not start: %s", error, extra={"action": "guard_retry"})

    def _on_guard(self) -> None:
        assert self._guard is not None
        try:
            received = self._guard.receive()
        except BlockingIOError:
            return
        if received is None:
            self._lose_guard()
            return
        message, descriptors = received
        if "started" in message:
            self._zygote_started(message, descriptors)
        elif "gone" in message:
            self._zygote_gone(message)

    def _zygote_started(self, message: Message, descriptors: list[int]) -> None:
        crew = self._zygotes.get(message["started"])
        if crew is None or crew.zygote is None:
            for each in descriptors:
                os.close(each)
            return
        crew.zygote.started(message["pid"], descriptors[0])

    def _zygote_gone(self, message: Message) -> None:
        crew = self._zygotes.get(message["gone"])
        if crew is None or crew.zygote is None:
            return
        zygote = crew.zygote
        self._read_all(crew, zygote)
        self._bury(zygote.number)
        if not zygote.ready:
            self._household.on_failed(crew, _failed_start(zygote, message, self._options.init_limit_sec))
        else:
            self._household.on_zygote_lost(crew, expected=zygote.retired)

    def _lose_guard(self) -> None:
        """It was killed. Zygotes and instances die with it; what instances had started comes to us."""
        guard, self._guard = self._guard, None
        assert guard is not None
        log.error("the guard has gone, its instances are lost", extra={"action": "guard_lost"})
        self._watch.remove(guard.fileno())
        pids = [crew.zygote.pid for crew in self._zygotes.values() if crew.zygote is not None]
        pids += [each.pid for crew in self._zygotes.values() for each in crew.members.values()]
        for crew in self._zygotes.values():
            if crew.zygote is not None:
                crew.zygote.kill()
        guard.kill(GUARD_BACK_OFF_SEC)
        if self._folder is not None:
            self._orphans.expect(self._folder.path, pids)
            if not self._orphans.settle(self._folder.groups.whole, ORPHANS_SEC):
                log.error("processes of a lost guard are still alive", extra={"action": "orphans_left"})
            self._folder.abandon()
        for number in list(self._zygotes):
            self._bury(number)
        self._guard_due_sec = self._clock.boottime() + GUARD_BACK_OFF_SEC

    def _bury(self, number: int) -> None:
        """The zygote's end is known: so is that of its instances."""
        crew = self._zygotes.pop(number)
        zygote, crew.zygote = crew.zygote, None
        if zygote is None:
            return
        for descriptor in zygote.ends.ours:
            self._watch.remove(descriptor)
        for instance in list(crew.members.values()):
            self._household.on_gone(instance, None, None)
        zygote.output.finish(self._clock.unix_ms())
        crew.init_lines += zygote.output.take()
        zygote.ends.close()

    def _on_output(self, descriptor: int, read: Callable[[], bool]) -> None:
        if not read():
            self._watch.remove(descriptor)

    def _on_zygote(self, crew: Crew, zygote: Zygote) -> bool:
        """False: nothing more is there."""
        try:
            received = zygote.channel.receive()
        except BlockingIOError:
            return False
        if received is None:
            self._watch.remove(zygote.channel.fileno())  # the guard reports how it ended
            return False
        message, descriptors = received
        try:
            self._understand(crew, zygote, message, descriptors)
        except (KeyError, TypeError, IndexError):
            log.warning("zygote of %s: %s", crew.code.name, message, extra={"action": "zygote_rubbish"})
        return True

    def _read_all(self, crew: Crew, zygote: Zygote) -> None:
        while self._on_zygote(crew, zygote):
            pass
        zygote.on_stdout()
        zygote.on_stderr()

    def _understand(self, crew: Crew, zygote: Zygote, message: Message, descriptors: list[int]) -> None:
        if "ready" in message:
            zygote.ready = True
            self._household.on_ready(crew)
        elif "failed" in message:
            self._read_all(crew, zygote)
            zygote.failure = RunError(**message["failed"])
        elif instance := crew.members.get(message.get("born", 0)):
            instance.born(message["pid"], descriptors[0])
            self._household.on_born(instance)
        elif instance := crew.members.get(message.get("unborn", 0)):
            self._household.on_unborn(crew, instance, message["reason"])
        elif instance := crew.members.get(message.get("gone", 0)):
            self._household.on_gone(instance, message["status"], message["peak_kib"] / 1024)
        else:
            for each in descriptors:
                os.close(each)


def _failed_start(zygote: Zygote, message: Message, limit_sec: float) -> Verdict:
    """Why a zygote ended before it was ready."""
    if zygote.failure is not None:
        return verdict.not_loadable(zygote.failure)
    if zygote.timed_out:
        return verdict.not_imported(limit_sec)
    if message["status"] is None:
        return verdict.lost(f"no process could be started: {message['reason']}")
    return verdict.not_loadable(verdict.exit_error(message["status"]))
