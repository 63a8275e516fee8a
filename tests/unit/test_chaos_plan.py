from __future__ import annotations

from collections import Counter

import pytest

from processor.ops.chaos.plan import (
    BROKER,
    DISK,
    EVERY_SEC,
    EXECUTORS,
    LED,
    ROLES,
    SERVER,
    TAIL_SEC,
    WARM_UP_SEC,
    Fault,
    Injection,
    Options,
    make_plan,
)

NETWORK = {
    Fault.CUT,
    Fault.SILENCE,
    Fault.DELAY,
    Fault.LOSE_COMMIT_ANSWERS,
    Fault.LOSE_APPEND_ANSWERS,
}


def options(
    seed: int = 1,
    *,
    minutes: float = 5.0,
    transport: str = "kafka",
    own_broker: bool = True,
    small_disk: bool = True,
    nodes: int = 1,
    every_sec: float = EVERY_SEC,
) -> Options:
    return Options(
        seed=seed,
        minutes=minutes,
        transport=transport,
        rate=60.0,
        group_protocol="auto",
        own_broker=own_broker,
        small_disk=small_disk,
        nodes=nodes,
        every_sec=every_sec,
    )


def test_the_same_options_give_the_same_plan_and_another_seed_another_one() -> None:
    assert make_plan(options(7)) == make_plan(options(7))
    assert make_plan(options(7)).injections != make_plan(options(8)).injections


def test_a_seed_means_the_same_plan_on_every_machine() -> None:
    """Whoever changes it on purpose: seeds in reports of before need the version that wrote them."""
    assert [each.document() for each in make_plan(options(1, minutes=0.25)).injections] == [
        [2.0, "kill", "executor-2", 1.0],
        [4.41, "pause", "broker", 2.0],
        [7.22, "kill instance", "executor-1", 0.0],
        [8.04, "lose answers to appends", "executor-2", 1.0],
        [10.94, "burst", "load", 2.0],
    ]


@pytest.mark.parametrize("transport", ["embedded", "kafka"])
def test_the_first_fault_kills_what_runs_functions_even_in_the_shortest_plan(transport: str) -> None:
    for seed in range(50):
        first = make_plan(options(seed, minutes=0.1, transport=transport)).injections[0]
        assert first.fault is Fault.KILL
        assert first.target in (*EXECUTORS, SERVER)


@pytest.mark.parametrize("seed", range(20))
def test_a_long_plan_has_every_fault_within_its_time_and_no_target_has_two_at_once(seed: int) -> None:
    plan = make_plan(options(seed, minutes=15, nodes=3))
    assert {each.fault for each in plan.injections} == set(Fault)
    assert {each.target for each in plan.injections} >= {*ROLES, BROKER, DISK}
    busy: dict[str, float] = {}
    for each in plan.injections:
        victim = BROKER if each.target in LED else each.target
        assert WARM_UP_SEC <= each.at_sec <= plan.length_sec - TAIL_SEC
        assert each.at_sec + each.duration_sec <= plan.length_sec
        assert busy.get(victim, 0.0) <= each.at_sec
        busy[victim] = each.at_sec + each.duration_sec


def test_a_single_broker_has_no_leader_to_lose() -> None:
    for seed in range(20):
        assert not any(each.fault is Fault.KILL_LEADER for each in make_plan(options(seed)).injections)


def test_twice_as_many_faults_come_when_it_is_half_as_long_to_the_next() -> None:
    few, many = (len(make_plan(options(minutes=30, every_sec=sec)).injections) for sec in (4.0, 2.0))
    assert 1.8 < many / few < 2.2


def test_pauses_are_short_ones_and_such_as_make_an_executor_count_as_dead() -> None:
    pauses = Counter(
        each.duration_sec
        for seed in range(20)
        for each in make_plan(options(seed)).injections
        if each.fault is Fault.PAUSE
    )
    assert pauses.keys() == {2.0, 18.0}


def test_a_broker_of_somebody_else_and_the_disk_of_somebody_else_are_left_alone() -> None:
    for seed in range(20):
        plan = make_plan(options(seed, own_broker=False, small_disk=False))
        assert not any(each.fault in {*NETWORK, Fault.FULL} or each.target == BROKER for each in plan.injections)


def test_on_the_embedded_log_there_is_one_process_and_no_network() -> None:
    for seed in range(20):
        plan = make_plan(options(seed, transport="embedded", own_broker=False))
        assert not any(each.fault in NETWORK for each in plan.injections)
        assert {each.target for each in plan.injections} <= {SERVER, DISK, "load"}


def test_an_injection_reads_as_a_line_of_the_printed_plan() -> None:
    assert str(Injection(at_sec=2.0, fault=Fault.PAUSE, target="gateway", duration_sec=14.0)) == (
        "   2.00 s  pause gateway for 14 s"
    )
    assert str(Injection(at_sec=12.5, fault=Fault.KILL, target=BROKER, duration_sec=0.0)) == "  12.50 s  kill broker"
