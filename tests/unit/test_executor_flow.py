"""How much of each function may be claimed, and what is said of the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from processor.core.claims import Stamp
from processor.core.function import Function, FunctionVersion, encode_function
from processor.core.ledger import Position
from processor.core.topics import FUNCTIONS
from processor.core.waits import Wait, WaitReason, merged
from processor.executor.flow import NEVER_SEC, Flow
from processor.executor.load import Load
from processor.executor.partition import Taken
from processor.registry.view import FunctionsView
from processor.transport.abstract import Record

F = Function(
    name="f", current=FunctionVersion(version="v", handler="m:f", code_digest="d"), concurrency=4, rate_per_sec=1e6
)
TAKEN = Taken(
    record=Record("queue.f.1", 0, 0, 0, 0, b"", b"", ()),
    stamp=Stamp("f", "v", "id", Position(0, 0, 0), None, "data", 0),
)


class Scene:
    def __init__(self, *functions: Function, slots: int = 8, owned: int = 4) -> None:
        self.view = FunctionsView()
        for offset, each in enumerate(functions):
            value = encode_function(each)
            self.view.apply(Record(FUNCTIONS.name, 0, offset, 0, 0, each.name.encode(), value, ()))
        self.load = Load(slots=slots)
        #: Runs of other executors, by queue partition.
        self.elsewhere: Counter[str] = Counter()
        self.queues = [f"q/{number}" for number in range(owned)]
        self.flow = Flow(
            view=self.view,
            load=self.load,
            queues_of=lambda _: self.queues,
            held_elsewhere=self.elsewhere.__getitem__,
        )

    def run(self, *deliveries: str) -> None:
        self.flow.claimed([TAKEN] * len(deliveries))
        self.load.of("f").running.update(dict.fromkeys(deliveries, 0.0))


def test_a_paused_function_is_claimed_nothing_of_and_says_so() -> None:
    scene = Scene(replace(F, paused=True))
    assert scene.flow.wanted({"f": 5}, 0.0) == ({"f": 0}, NEVER_SEC), "time does not resume it"
    assert scene.flow.waits({"f": 5}, 0.0) == {"f": Wait(WaitReason.PAUSED)}


def test_what_may_all_be_claimed_does_not_wait() -> None:
    scene = Scene(F)
    assert scene.flow.wanted({"f": 4}, 0.0) == ({"f": 4}, NEVER_SEC)
    assert scene.flow.waits({"f": 4}, 0.0) == {}


def test_concurrency_is_the_reason_while_slots_are_free() -> None:
    scene = Scene(F)
    scene.run("q/0/0", "q/0/1", "q/0/2", "q/0/3")
    assert scene.flow.wanted({"f": 5}, 0.0) == ({"f": 0}, NEVER_SEC)
    assert scene.flow.waits({"f": 5}, 0.0) == {"f": Wait(WaitReason.CONCURRENCY, 4, 4)}


def test_the_slots_are_the_reason_where_they_are_fewer() -> None:
    scene = Scene(F, slots=2)
    scene.run("q/0/0", "q/0/1")
    assert scene.flow.waits({"f": 5}, 0.0) == {"f": Wait(WaitReason.SLOTS)}


def test_slots_that_others_hold_for_long_are_no_free_slots() -> None:
    scene = Scene(F, replace(F, name="g"), slots=4)
    scene.run("q/0/0", "q/0/1", "q/0/2", "q/0/3")
    assert scene.flow.waits({"g": 1}, 0.0) == {"g": Wait(WaitReason.SLOTS)}


def test_starts_are_paced_and_the_rate_is_the_reason() -> None:
    scene = Scene(replace(F, rate_per_sec=2.0))
    wanted, ready_at_sec = scene.flow.wanted({"f": 100}, 0.0)
    assert (wanted, ready_at_sec) == ({"f": 2}, 0.5)
    scene.flow.claimed([TAKEN] * 2)
    wanted, ready_at_sec = scene.flow.wanted({"f": 98}, 0.25)
    assert (wanted, ready_at_sec) == ({"f": 0}, 0.5)
    assert scene.flow.waits({"f": 98}, 0.25) == {"f": Wait(WaitReason.RATE)}
    wanted, ready_at_sec = scene.flow.wanted({"f": 98}, 0.5)
    assert (wanted, ready_at_sec) == ({"f": 1}, 1.0)


def test_a_part_of_the_rate_goes_with_each_owned_partition() -> None:
    scene = Scene(replace(F, rate_per_sec=40.0, concurrency=64), slots=64, owned=1)
    assert scene.flow.wanted({"f": 100}, 0.0)[0] == {"f": 10}


def test_a_function_that_is_gone_is_left_alone() -> None:
    scene = Scene()
    assert scene.flow.wanted({"f": 5}, 0.0) == ({"f": 0}, NEVER_SEC)
    assert scene.flow.waits({"f": 5}, 0.0) == {}


def test_nothing_is_too_old_while_the_time_on_the_log_is_unknown() -> None:
    scene = Scene(replace(F, max_queue_age_sec=60.0), replace(F, name="patient"))
    assert scene.flow.oldest_ms(["f", "patient", "gone"], None) == {}
    assert scene.flow.oldest_ms(["f", "patient", "gone"], 100_000) == {"f": 40_000}


def test_what_several_owners_say_is_put_together() -> None:
    assert merged([]) is None
    two = [Wait(WaitReason.CONCURRENCY, 1, 2), Wait(WaitReason.SLOTS), Wait(WaitReason.CONCURRENCY, 2, 2)]
    assert merged(two) == Wait(WaitReason.CONCURRENCY, 3, 4)


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        (Wait(WaitReason.PAUSED), "paused"),
        (Wait(WaitReason.RATE), "rate: 10/s"),
        (Wait(WaitReason.CONCURRENCY, 3, 4), "concurrency: 3 of 4 running"),
        (Wait(WaitReason.SLOTS), "no free slot"),
    ],
)
def test_a_reason_as_people_read_it(wait: Wait, text: str) -> None:
    assert wait.text(10.0) == text


def test_what_other_executors_still_run_of_our_partitions_counts_against_the_limit() -> None:
    scene = Scene(F)
    scene.elsewhere.update({"q/1": 2, "q/9": 5})
    scene.run("q/0/0")
    assert scene.flow.wanted({"f": 5}, 0.0)[0] == {"f": 1}
    scene.run("q/1/1")
    assert scene.flow.wanted({"f": 5}, 0.0)[0] == {"f": 0}
    assert scene.flow.waits({"f": 5}, 0.0) == {"f": Wait(WaitReason.CONCURRENCY, 4, 4)}


def test_what_we_still_run_of_a_partition_that_went_to_somebody_else_holds_up_its_new_owner_and_not_us() -> None:
    scene = Scene(F, owned=2)
    scene.run("q/2/0", "q/3/0")
    assert scene.flow.wanted({"f": 5}, 0.0)[0] == {"f": 2}
    scene.run("q/0/0", "q/1/0")
    assert scene.flow.wanted({"f": 5}, 0.0)[0] == {"f": 0}


def test_a_function_all_of_whose_runs_go_on_elsewhere_is_claimed_nothing_of() -> None:
    scene = Scene(F)
    scene.elsewhere.update({"q/0": 4, "q/1": 4})
    assert scene.flow.wanted({"f": 5}, 0.0)[0] == {"f": 0}
    assert scene.flow.waits({"f": 5}, 0.0) == {"f": Wait(WaitReason.CONCURRENCY, 8, 8)}
