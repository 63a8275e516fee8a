from __future__ import annotations

from pathlib import Path

from processor.core.function import Function, encode_function
from processor.registry.plan import plan_deploy
from processor.registry.spec import FunctionSpec
from processor.registry.view import FunctionsView, encode_grave
from processor.transport.abstract import Record

FIRST = plan_deploy(None, FunctionSpec(name="hello", handler="app:f", code=Path("/c")), "a" * 64)


def deploy(base: Function | None, role: str, *, creation: int = 1) -> Function:
    spec = FunctionSpec(name="hello", handler="app:f", code=Path("/c"), role=role)
    return plan_deploy(base, spec, "a" * 64, creation=creation)


def record(offset: int, value: bytes | None, *, topic: str = "functions") -> Record:
    return Record(topic, 0, offset, 0, 0, b"hello", value, ())


def view_of(*values: bytes | None) -> FunctionsView:
    view = FunctionsView()
    for offset, value in enumerate(values):
        view.apply(record(offset, value))
    return view


def test_the_last_record_of_a_name_is_the_function() -> None:
    second = deploy(FIRST, "r")
    view = view_of(encode_function(FIRST), encode_function(second))
    assert view.get("hello") == second
    assert view.all() == (second,)
    assert view.by_queue_topic("queue.hello.1") == second
    assert not view.unsettled


def test_other_topics_are_not_functions() -> None:
    view = FunctionsView()
    view.apply(record(0, encode_function(FIRST), topic="runs"))
    assert view.all() == ()


def test_reading_from_the_beginning_again_changes_nothing() -> None:
    second = deploy(FIRST, "r")
    view = view_of(encode_function(FIRST), encode_function(second))
    view.apply(record(0, encode_function(FIRST)))
    assert view.get("hello") == second


def test_a_deleted_function_is_gone_but_the_number_of_its_queue_is_not() -> None:
    for end in (None, encode_grave(1)):
        view = view_of(encode_function(FIRST), end)
        assert view.get("hello") is None
        assert view.by_queue_topic("queue.hello.1") is None
        assert view.last_creation("hello") == 1
    assert view_of(encode_grave(7)).last_creation("hello") == 7


def test_a_function_made_again_has_another_queue() -> None:
    again = deploy(None, "r", creation=2)
    for between in ([encode_grave(1)], []):  # compaction may have taken the grave
        view = view_of(encode_function(FIRST), *between, encode_function(again))
        assert view.get("hello") == again
        assert view.by_queue_topic("queue.hello.1") is None
        assert view.by_queue_topic("queue.hello.2") == again


def test_a_record_of_a_newer_version_is_said_to_be_unreadable_and_the_last_state_holds() -> None:
    for value in (b'{"later": 1}', b"", b"[]", b"\xff", b"5", b"null"):
        view = view_of(encode_function(FIRST), value)
        assert view.get("hello") == FIRST
        assert "hello" in view.unreadable
        view.apply(record(2, encode_function(FIRST)))
        assert not view.unreadable


def test_after_two_deploys_at_once_the_versions_of_both_are_found_until_a_deploy_settles_it() -> None:
    one, other = deploy(FIRST, "one"), deploy(FIRST, "other")
    view = view_of(encode_function(FIRST), encode_function(one), encode_function(other))
    merged = view.get("hello")
    assert merged is not None
    assert merged.current == other.current
    assert merged.find(one.current.version) == one.current
    assert view.unsettled == {"hello"}
    view.apply(record(3, encode_function(deploy(merged, "third"))))
    assert not view.unsettled
