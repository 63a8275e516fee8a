from __future__ import annotations

import secrets
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from processor.cli.errors import Exit
from processor.cli.output import print_json, print_table

if TYPE_CHECKING:
    from processor.ops.chaos.figures import Figures
    from processor.ops.chaos.outcome import Outcome
    from processor.ops.chaos.plan import Plan

_SEEDS = 1 << 32
_POSITIVE = Parameter(validator=Number(gt=0))


def chaos(
    *,
    seed: int | None = None,
    minutes: Annotated[float, _POSITIVE] = 1.0,
    transport: Literal["embedded", "kafka"] = "embedded",
    rate: Annotated[float, _POSITIVE] = 60.0,
    group_protocol: Literal["auto", "consumer", "classic"] = "auto",
    every: Annotated[float, _POSITIVE] = 1.9,
    nodes: Literal[1, 3] = 1,
    bootstrap_servers: str | None = None,
    disk: bool = True,
    plan: bool = False,
    report: Path | None = None,
    keep: bool = False,
    output: Annotated[Literal["text", "json"], Parameter(name=["--output", "-o"])] = "text",
) -> int:
    """Start a whole system, break it on purpose under load, heal it, and count what keeps or breaks each promise.

    Everything is its own: processes, ports, a temporary folder, and on Kafka a broker. The first lines say what will
    be done; the same options give the same plan. Exit code 1 when a promise is broken, and when nothing happened.

    Parameters
    ----------
    seed
        Of the plan; left out: a random one, which is printed.
    minutes
        How long faults are injected.
    transport
        kafka: five roles, two of them twice, each behind a proxy before a broker of its own.
    rate
        Events per second.
    group_protocol
        kafka: of the executors and dispatchers.
    every
        Seconds from one fault to the next, on average.
    nodes
        kafka: of its own broker. With 3, the leader of a topic is killed at times.
    bootstrap_servers
        kafka: use these brokers, under a new topic prefix, instead of one of its own; without faults of broker and
        network then.
    disk
        Give it a small disk of its own, which gets full at times; only as root.
    plan
        Only print the plan.
    report
        Append this run to a file, one JSON document per line. Without --seed: print the figures of the runs in it.
    keep
        Keep the folder with logs and evidence. It is kept anyway when the run is not ok.
    output
        json: one document on standard output, for scripts.
    """
    from processor.ops.chaos.disk import may_mount
    from processor.ops.chaos.plan import Options, make_plan

    if report is not None and seed is None:
        return _print_figures(report, as_json=output == "json")
    options = Options(
        seed=secrets.randbelow(_SEEDS) if seed is None else seed,
        minutes=minutes,
        transport=transport,
        rate=rate,
        group_protocol=group_protocol,
        own_broker=transport == "kafka" and bootstrap_servers is None,
        small_disk=disk and may_mount(),
        every_sec=every,
        nodes=nodes if transport == "kafka" and bootstrap_servers is None else 1,
    )
    made = make_plan(options)
    as_json = output == "json"
    _say_plan(made, as_json=as_json)
    if plan:
        return Exit.OK
    return _run(made, bootstrap_servers, report, keep=keep, as_json=as_json)


def _run(plan: Plan, bootstrap_servers: str | None, report: Path | None, *, keep: bool, as_json: bool) -> int:
    from processor.ops.chaos.figures import append_run
    from processor.ops.chaos.run import run

    # Both explicitly: whoever was started in the background by a shell has SIGINT ignored; and SIGTERM would leave all
    # its processes running.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcome = run(plan, bootstrap_servers=bootstrap_servers, keep=keep, say=_say)
    document = {"version": version("headrace"), **outcome.document()}
    if report is not None:
        append_run(report, document)
    if as_json:
        print_json(document)
    else:
        _print_outcome(outcome)
    return Exit.OK if outcome.ok else Exit.FAILED


def _say(line: str) -> None:
    """Progress goes beside the result."""
    print(line, file=sys.stderr, flush=True)


def _say_plan(plan: Plan, *, as_json: bool) -> None:
    target = sys.stderr if as_json else sys.stdout
    told = " ".join(f"{name}={value}" for name, value in plan.options.document().items())
    print(f"headrace {version('headrace')} chaos {told}", file=target)
    for injection in plan.injections:
        print(injection, file=target)
    target.flush()


def _print_outcome(outcome: Outcome) -> None:
    print_table(
        ("id", "promise", "checked", "broken"),
        [(each.id, each.promise, str(each.checked), str(each.broken)) for each in outcome.invariants],
    )
    for each in outcome.invariants:
        for example in each.examples:
            print(f"{each.id} broken: {example}")
    faults = sum(each.applied for each in outcome.happened)
    print(f"{faults} faults injected; {outcome.near_a_fault} events were in flight within 5 s of one")
    print("sometimes: " + ", ".join(f"{name} {count}" for name, count in outcome.sometimes.items() if count))
    for note in (*outcome.notes, *outcome.boring):
        print(f"note: {note}")
    print("ok" if outcome.ok else "PROVES NOTHING" if outcome.boring else "BROKEN")


def _print_figures(path: Path, *, as_json: bool) -> int:
    from processor.ops.chaos.figures import figures_of, read_runs

    figures = figures_of(read_runs(path))
    if as_json:
        print_json(figures.document())
    else:
        _print_table(figures)
    return Exit.OK if figures.ok else Exit.FAILED


def _print_table(figures: Figures) -> None:
    from processor.ops.chaos.figures import EVENTS, FAULTS

    rows: list[tuple[str, object]] = [
        ("runs", figures.runs),
        ("minutes of faults", f"{figures.minutes:g}"),
        ("faults injected", f"{figures.faults} of {FAULTS} wanted"),
        ("events in flight within 5 s of a fault", f"{figures.near_a_fault} of {EVENTS} wanted"),
        ("lost", figures.lost),
        ("started twice", figures.started_twice),
        ("without one verdict", figures.two_verdicts),
    ]
    rows += [(f"fault: {name}", count) for name, count in figures.by_fault.items()]
    rows += [(f"sometimes: {name}", count) for name, count in figures.sometimes.items()]
    print_table(("figure", "value"), rows)
    for kind, seeds in figures.seeds.items():
        print(f"seeds on {kind}: {' '.join(map(str, seeds))}")
    for name, count in figures.rare.items():
        print(f"too seldom to prove anything: {name} {count}")
    for each in figures.failed:
        print(f"not ok: {each}")
