"""One run of chaos from beginning to end: load, faults, healing, drain, audit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from processor.core.clock import Clock, SystemClock
from processor.ops.audit.evidence import read_evidence
from processor.ops.audit.facts import read_facts
from processor.ops.audit.invariants import examine
from processor.ops.chaos.inject import Injector
from processor.ops.chaos.installation import Installation, installed
from processor.ops.chaos.load import GIVE_UP_SEC, Acknowledgements, Caller, Throttle
from processor.ops.chaos.outcome import Outcome, Seen, conclude
from processor.ops.chaos.plan import Plan
from processor.ops.chaos.site_checks import drain, left_folders, left_processes, logged_actions, silence_schedules
from processor.ops.chaos.sources import Dropper, Foreign
from processor.ops.chaos.timeline import read_timeline
from processor.recorder.sqlite import SqliteHistoryStore

#: One for so many events a second, and at least four.
PER_CALLER = 25.0
FILES_PER_SEC = 2.0
#: Of the rate, on Kafka.
FOREIGN = 0.3
#: Without anything coming to its end. A machine that is busy with other things needs it; else recovery waits 12 s.
STALLED_SEC = 180.0
#: All of it: a slow machine works a backlog off for long, and is as right as a fast one.
DRAIN_SEC = 1_200.0
#: Load after the healing: everything must be served again.
AFTER_SEC = 2.0


@dataclass(slots=True)
class Load:
    """Everything that sends events."""

    told: Acknowledgements
    throttle: Throttle
    callers: Sequence[Caller]
    dropper: Dropper
    foreign: Foreign | None = None
    threads: list[Caller | Dropper | Foreign] = field(default_factory=list)

    @classmethod
    def on(cls, site: Installation) -> Load:
        options = site.options
        told = Acknowledgements(site.folder / "acknowledgements")
        share = FOREIGN if options.transport == "kafka" else 0.0
        throttle = Throttle(options.rate * (1 - share))
        count = max(int(options.rate / PER_CALLER), 4)
        callers = [
            Caller(number, callers=count, port=site.port, throttle=throttle, seed=options.seed, told=told)
            for number in range(count)
        ]
        load = cls(told=told, throttle=throttle, callers=callers, dropper=Dropper(site.uploads, per_sec=FILES_PER_SEC))
        if share:
            per_sec = options.rate * share
            load.foreign = Foreign(site.bootstrap_servers, site.prefix, per_sec=per_sec, seed=options.seed, told=told)
        load.threads = [*callers, load.dropper, *([load.foreign] if load.foreign else [])]
        return load

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Blocks until everything that was begun has been sent, or given up."""
        for thread in self.threads:
            thread.stop()
        for thread in self.threads:
            thread.join(GIVE_UP_SEC + 30)
        self.told.close()

    def expected(self) -> int:
        return self.told.count() + len(self.dropper.names)


def run(plan: Plan, *, bootstrap_servers: str | None, keep: bool, say: Callable[[str], None]) -> Outcome:
    """Blocks for the plan's length and some minutes at most. Raises HeadraceError when the site cannot be set up."""
    clock = SystemClock()
    begun_ms = clock.unix_ms()  # before the schedule is there
    with installed(plan.options, bootstrap_servers) as site:
        say(f"up, in {site.folder}")
        load = Load.on(site)
        load.start()
        happened = Injector(site, load.throttle, clock, say).run(plan)
        acknowledged = load.told.count()
        time.sleep(AFTER_SEC)
        load.stop()
        acknowledged_after = load.told.count() - acknowledged
        say(f"healed; {load.told.count()} events acknowledged, {len(load.dropper.names)} files dropped; draining")
        not_drained = [*silence_schedules(site), *drain(site, load.expected, DRAIN_SEC, STALLED_SEC)]
        site.host.stop_all()
        say("stopped; auditing")
        seen = Seen(
            plan=plan,
            happened=happened,
            dropped=load.dropper.names,
            begun_sec=begun_ms // 1000,
            ended_sec=clock.unix_ms() // 1000,
            acknowledged_after=acknowledged_after,
            given_up=sum(each.given_up for each in load.callers),
            not_drained=not_drained,
            left_processes=left_processes(site.folder),
            left_folders=left_folders(site.data),
            ended_by_themselves=site.host.ended_by_themselves,
            failed_starts=site.host.failed_starts,
            lost_answers=site.proxies.lost_answers() if site.proxies else {},
            actions=logged_actions(site.host.logs),
        )
        outcome = _audited(site, seen, load.told, clock)
        site.keep = keep or not outcome.ok
        return outcome


def _audited(site: Installation, seen: Seen, told: Acknowledgements, clock: Clock) -> Outcome:
    evidence = read_evidence([told.path], [site.journal])
    store = SqliteHistoryStore(site.history)
    try:
        counts = store.run_counts()
    finally:
        store.close()
    with site.transport() as transport:
        report = examine(read_facts(transport, clock), evidence, counts, drained=True)
        timeline = read_timeline(transport, clock)
        timeline.told_ms = told.times_ms()
        return conclude(seen, report, timeline)
