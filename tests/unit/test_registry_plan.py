from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.function import KEPT_VERSIONS, Function, decode_function, encode_function
from processor.registry.errors import AsyncExecutionLocked, DeployConflict
from processor.registry.plan import merge, plan_deploy
from processor.registry.spec import FunctionSpec, notes

SPEC = FunctionSpec(name="hello", handler="app:hello", code=Path("/code"))
DIGEST = "a" * 64


def planned(existing: Function | None = None, *, digest: str = DIGEST, **changes: Any) -> Function:
    return plan_deploy(existing, replace(SPEC, **changes), digest)


def test_a_new_function_begins_with_revision_1_and_its_own_queue() -> None:
    function = plan_deploy(None, replace(SPEC, concurrency=2), DIGEST, creation=3)
    assert (function.revision, function.creation, function.queue_topic) == (1, 3, "queue.hello.3")
    assert function.queue_partitions == 2
    assert planned(concurrency=100).queue_partitions == 4


def test_the_same_content_again_changes_nothing() -> None:
    function = planned(env={"A": "1", "B": "2"}, events=({"folder": {"path": "/in"}},), memory_bytes=512)
    read_back = decode_function(encode_function(function))
    assert read_back == function
    again = planned(read_back, env={"B": "2", "A": "1"}, events=({"folder": {"path": "/in"}},), memory_bytes=512)
    assert again is read_back


@pytest.mark.parametrize(
    "change",
    [
        {"handler": "app:other"},
        {"digest": "b" * 64},
        {"timeout_sec": 5.0},
        {"memory_bytes": 1},
        {"env": {"A": "1"}},
        {"role": "r"},
    ],
)
def test_what_a_run_can_notice_makes_a_new_version_and_keeps_the_old_one(change: dict[str, Any]) -> None:
    first = planned()
    second = planned(first, **change)
    assert second.current.version != first.current.version
    assert second.previous == (first.current,)
    assert second.revision == 2
    assert second.find(first.current.version) == first.current


@pytest.mark.parametrize(
    "change",
    [
        {"concurrency": 9},
        {"rate_per_sec": 5.0},
        {"enabled": False},
        {"max_queue_age_sec": 60.0},
        {"claim_ahead_sec": 0.0},
        {"events": ({"http": {"path": "/x"}},)},
    ],
)
def test_how_it_is_limited_is_no_part_of_the_version(change: dict[str, Any]) -> None:
    first = planned()
    second = planned(first, **change)
    assert (second.current, second.previous, second.revision) == (first.current, (), 2)
    assert second != first


def test_the_version_is_twelve_hex_digits_of_the_content() -> None:
    version = planned().current.version
    assert len(version) == 12
    assert int(version, 16) >= 0
    assert version == SPEC.version(DIGEST).version == replace(SPEC, timeout_sec=900).version(DIGEST).version


def test_going_back_to_an_earlier_version_makes_it_current_and_lists_it_once() -> None:
    first = planned()
    second = planned(first, role="r")
    third = planned(second)
    assert third.current == first.current
    assert third.previous == (second.current,)


def test_only_so_many_versions_are_kept_the_newest_ones() -> None:
    function = planned()
    for number in range(KEPT_VERSIONS + 5):
        function = planned(function, env={"N": str(number)})
    assert len(function.previous) == KEPT_VERSIONS
    assert function.previous[0].env == {"N": str(KEPT_VERSIONS + 3)}


def test_async_execution_cannot_be_changed_and_the_remedy_says_what_can() -> None:
    with pytest.raises(AsyncExecutionLocked, match="created with async_execution: true") as caught:
        planned(planned(), async_execution=False)
    assert "another name" in caught.value.remedy


def test_a_deploy_based_on_another_revision_is_a_conflict() -> None:
    function = planned()
    for existing, expected in ((function, 0), (function, 2), (None, 1)):
        with pytest.raises(DeployConflict):
            plan_deploy(existing, SPEC, DIGEST, expected_revision=expected)
    assert plan_deploy(function, SPEC, DIGEST, expected_revision=1) is function
    assert plan_deploy(None, SPEC, DIGEST, expected_revision=0).revision == 1


def test_fewer_runs_at_once_than_partitions_keep_the_partitions_and_are_explained() -> None:
    function = planned(planned(), concurrency=2)
    assert function.queue_partitions == 4
    assert "below its 4 queue partitions" in notes(function)[0]
    assert notes(planned()) == []


def test_deploys_that_did_not_know_of_each_other_lose_no_version() -> None:
    base = planned()
    one, other = planned(base, role="one"), planned(base, role="other")
    merged = merge(one, other)
    assert merged.current == other.current
    assert merged.find(one.current.version) == one.current
    assert merged.find(base.current.version) == base.current
    assert merge(base, one) == one


def test_a_late_deploy_does_not_turn_the_revision_back() -> None:
    base = planned()
    twice = planned(planned(base, role="one"), role="two")
    assert merge(twice, planned(base, role="late")).revision == twice.revision == 3


def test_another_creation_of_the_name_takes_nothing_over() -> None:
    again = plan_deploy(None, replace(SPEC, role="new"), DIGEST, creation=2)
    assert merge(planned(planned(), role="old"), again) == again


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6)), min_size=1, max_size=12))
def test_no_order_of_deploys_lists_a_version_twice_or_forgets_the_last(steps: list[tuple[str, int]]) -> None:
    function: Function | None = None
    for role, concurrency in steps:
        before = function
        function = planned(function, role=role, concurrency=concurrency)
        known = [function.current.version, *(each.version for each in function.previous)]
        assert len(set(known)) == len(known)
        assert before is None or before.current.version in known
    assert function is not None
    assert function.current.role == steps[-1][0]


def test_a_deploy_keeps_a_function_paused() -> None:
    paused = replace(planned(), paused=True)
    assert planned(paused, role="new").paused
    assert planned(paused) is paused


def test_a_pause_and_a_deploy_that_did_not_know_of_each_other_leave_it_paused() -> None:
    base = planned()
    paused, deployed = replace(base, paused=True, revision=2), planned(base, role="new")
    for merged in (merge(paused, deployed), merge(deployed, paused)):
        assert merged.paused
        assert merged.find(deployed.current.version) == deployed.current
    resumed = replace(deployed, revision=3)
    assert merge(paused, resumed) == resumed, "who resumes has seen the pause"


def test_a_record_from_before_there_was_a_pause_is_not_paused() -> None:
    older = orjson.loads(encode_function(planned()))
    del older["paused"]
    assert not decode_function(orjson.dumps(older)).paused
