"""What makes a run of chaos fail: a broken promise, and also that nothing happened."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.ops.audit.invariants import Invariant, Report
from processor.ops.chaos.figures import OFTEN, ReportUnreadable, append_run, figures_of, read_runs
from processor.ops.chaos.inject import Happened
from processor.ops.chaos.outcome import Outcome, Seen, conclude
from processor.ops.chaos.plan import Fault, Injection, Options, make_plan
from processor.ops.chaos.timeline import NEAR_MS, TICKS_NAMESPACE, Timeline, missing_ticks

OPTIONS = Options(
    seed=3, minutes=0.1, transport="embedded", rate=10.0, group_protocol="auto", own_broker=False, small_disk=False
)
KILLED = Happened(
    injection=Injection(at_sec=2.0, fault=Fault.KILL, target="server", duration_sec=0.0),
    begun_ms=100_000,
    healed_ms=101_000,
)


def report(*, broken: int = 0, lost: int = 2, acknowledged: int = 5) -> Report:
    invariant = Invariant(id="I1", promise="-", checked=9, broken=broken, examples=())
    return Report(invariants=(invariant,), sometimes={"acknowledged": acknowledged, "instance_lost": lost})


def seen(**different: Any) -> Seen:
    values: dict[str, Any] = {
        "plan": make_plan(OPTIONS),
        "happened": (KILLED,),
        "dropped": (),
        "begun_sec": 0,
        "ended_sec": 0,
        "acknowledged_after": 1,
        "given_up": 0,
        "not_drained": (),
        "left_processes": (),
        "left_folders": (),
        "ended_by_themselves": (),
        "failed_starts": (),
        "lost_answers": {},
        "actions": {},
    }
    return Seen(**values | different)


def timeline(**runs: tuple[int, int]) -> Timeline:
    """runs: when each was accepted and ended, ms."""
    found = runs or {"run": (100_500, 100_600)}
    return Timeline(
        accepted_ms={name: begin for name, (begin, _) in found.items()},
        ended_ms={name: end for name, (_, end) in found.items()},
    )


def concluded(audited: Report | None = None, runs: Timeline | None = None, **different: Any) -> Outcome:
    return conclude(seen(**different), audited or report(), runs or timeline())


def broken(outcome: Outcome) -> set[str]:
    return {each.id for each in outcome.invariants if each.broken}


def test_a_run_with_faults_and_nothing_broken_is_ok() -> None:
    outcome = concluded()
    assert outcome.ok
    assert outcome.near_a_fault == 1
    assert outcome.document()["by_fault"] == {"kill": 1}


def test_a_promise_that_the_audit_finds_broken_breaks_the_run() -> None:
    assert not concluded(report(broken=1)).ok


@pytest.mark.parametrize(
    ("different", "why"),
    [
        ({"happened": ()}, "no fault was injected"),
        ({"audited": report(acknowledged=0)}, "nothing was acknowledged"),
        ({"audited": report(lost=0)}, "executors were killed, and no run was lost with them"),
        ({"runs": timeline(late=(900_000, 900_001))}, "no event was in flight near a fault"),
    ],
)
def test_a_run_in_which_nothing_happened_proves_nothing(different: dict[str, Any], why: str) -> None:
    outcome = concluded(**different)
    assert why in outcome.boring
    assert not outcome.ok


@pytest.mark.parametrize(
    ("different", "id_"),
    [
        ({"dropped": ("a.txt",)}, "C1"),
        ({"acknowledged_after": 0}, "C2"),
        ({"given_up": 1}, "C2"),
        ({"not_drained": ("1 runs of work are RUNNING",)}, "C3"),
        ({"left_processes": ("process 7",)}, "C4"),
        ({"left_folders": ("instances/7",)}, "C4"),
    ],
)
def test_what_only_chaos_can_see_breaks_the_run_too(different: dict[str, Any], id_: str) -> None:
    outcome = concluded(**different)
    assert broken(outcome) == {id_}
    assert not outcome.ok


def test_a_fault_that_found_nothing_does_not_count_and_one_that_had_trouble_does() -> None:
    missed, troubled = replace(KILLED, missed=True), replace(KILLED, trouble="NotReady: -")
    outcome = concluded(happened=(missed, troubled))
    assert outcome.document()["faults"] == 1
    assert outcome.notes == ("2.00 s  kill server: missed", "2.00 s  kill server: NotReady: -")


def test_a_file_that_became_two_runs_is_found() -> None:
    runs = timeline()
    runs.files = {"a.txt": {"one", "two"}, "b.txt": {"three"}}
    assert broken(concluded(runs=runs, dropped=("a.txt", "b.txt"))) == {"C1"}


def test_a_second_of_the_schedule_that_was_left_out_is_found() -> None:
    def event_id(second: int) -> str:
        return str(uuid.uuid5(TICKS_NAMESPACE, f"ticks.1/t\n1970-01-01T00:00:0{second}Z"))

    fired = {event_id(second) for second in (2, 3, 5)}
    assert missing_ticks("cron:ticks.1/t", fired, 0, 9) == ["1970-01-01T00:00:04Z"]
    assert missing_ticks("cron:ticks.1/t", fired | {event_id(4)}, 0, 9) == []
    assert missing_ticks("cron:ticks.1/t", {"another"}, 0, 9) == ["1 events of a time that is none of the schedule"]


def test_of_a_schedule_whose_clock_was_set_ahead_only_the_time_before_is_looked_at() -> None:
    fired = {
        str(uuid.uuid5(TICKS_NAMESPACE, f"ticks.1/t\n{each}"))
        for each in ("1970-01-01T00:00:02Z", "1970-01-01T00:00:04Z", "1970-01-01T01:00:05Z")
    }
    assert missing_ticks("cron:ticks.1/t", fired, 0, 9, 6) == ["1970-01-01T00:00:03Z"]
    assert missing_ticks("cron:ticks.1/t", fired, 0, 9, 3) == []


def test_the_clock_of_another_role_excuses_no_missing_second() -> None:
    def run(target: str) -> Outcome:
        fault = Injection(at_sec=2.0, fault=Fault.CLOCK_AHEAD, target=target, duration_sec=3.0)
        ticks = timeline()
        ticks.schedule = "cron:ticks.1/t"
        ticks.ticks = {str(uuid.uuid5(TICKS_NAMESPACE, f"ticks.1/t\n1970-01-01T00:01:4{each}Z")) for each in (0, 1, 4)}
        return concluded(runs=ticks, happened=(replace(KILLED, injection=fault, begun_ms=101_500),), ended_sec=200)

    assert broken(run("gateway")) == {"C5"}
    assert broken(run("triggers")) == set()


def test_in_flight_near_a_fault_is_what_overlaps_it_by_the_margin() -> None:
    begun, healed = KILLED.begun_ms, KILLED.healed_ms
    runs = timeline(
        long_before=(0, begun - NEAR_MS - 1),
        just_before=(0, begun - NEAR_MS),
        through=(0, healed * 2),
        within=(begun + 1, begun + 2),
        just_after=(healed + NEAR_MS, healed * 2),
        long_after=(healed + NEAR_MS + 1, healed * 2),
    )
    runs.accepted_ms["open"] = 5
    assert runs.near([(begun, healed)]) == 5
    assert runs.near([]) == 0


def test_a_run_whose_times_on_the_log_are_wrong_is_near_a_fault_by_its_senders_clock() -> None:
    begun, healed = KILLED.begun_ms, KILLED.healed_ms
    hour_ms = 3_600_000
    runs = timeline(told=(begun + hour_ms, begun + hour_ms), told_late=(begun + hour_ms, begun + hour_ms))
    runs.told_ms = {"told": begun + 1, "told_late": healed + NEAR_MS + 1}
    assert runs.near([(begun, healed)]) == 1


def test_near_counts_a_run_once_however_many_faults_it_saw() -> None:
    runs = timeline(through=(0, 1_000_000), between=(50_000, 50_001))
    assert runs.near([(10_000, 11_000), (12_000, 13_000), (90_000, 91_000)]) == 1


def test_many_runs_are_summed_up_from_the_report(tmp_path: Path) -> None:
    path = tmp_path / "report"
    append_run(path, concluded().document())
    append_run(path, concluded(report(broken=2)).document())
    figures = figures_of(read_runs(path))
    assert (figures.runs, figures.faults, figures.near_a_fault) == (2, 2, 2)
    assert (figures.lost, figures.started_twice, figures.two_verdicts) == (2, 0, 0)
    assert figures.sometimes["instance_lost"] == 4
    assert figures.seeds == {"embedded": [3, 3]}
    assert figures.failed == ("embedded seed 3",)
    assert "instance_lost" in figures.rare
    assert all("plan" not in run for run in read_runs(path))
    assert not figures.ok


def test_what_has_happened_often_enough_is_not_called_rare_and_nodes_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "report"
    append_run(path, concluded(report(lost=OFTEN)).document() | {"transport": "kafka", "nodes": 3})
    figures = figures_of(read_runs(path))
    assert "instance_lost" not in figures.rare
    assert figures.seeds == {"kafka/auto/3 nodes": [3]}


def test_a_line_that_is_no_report_is_named(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_bytes(orjson.dumps({"seed": 1}) + b"\n")
    with pytest.raises(ReportUnreadable, match="report, line 1"):
        read_runs(path)
