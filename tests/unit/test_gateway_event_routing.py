from __future__ import annotations

from typing import Any

from processor.core.event import Event
from processor.core.function import Function, FunctionVersion
from processor.gateway.event_routing import doors_of, wishes_of


def function(name: str, *wishes: dict[str, Any], **more: Any) -> Function:
    version = FunctionVersion(version="v", handler="m:f", code_digest="0" * 64)
    return Function(name=name, current=version, events=tuple({"cloudevents": each} for each in wishes), **more)


def event(kind: str = "com.example.order.paid", source: str = "/shop/7", **extensions: str) -> Event:
    return Event(id="1", source=source, type=kind, extensions=extensions)


def doors(what: Event, *functions: Function) -> list[tuple[str, str]]:
    return [(each.function, each.event_format) for each in doors_of(what, wishes_of(functions))]


def test_an_event_goes_to_every_function_that_wants_its_type_and_source() -> None:
    functions = (
        function("all", {}),
        function("orders", {"type": "com.example.order.*"}),
        function("bills", {"type": "com.example.bill.*"}),
        function("shop", {"source": "/shop/*", "type": "*.paid", "event_format": "data"}),
        function("other", {"source": "/other/*"}),
    )
    assert doors(event(), *functions) == [("all", "cloudevents"), ("orders", "cloudevents"), ("shop", "data")]


def test_two_triggers_of_one_function_make_one_run_and_the_first_says_how() -> None:
    both = function("f", {"type": "*.paid", "event_format": "data"}, {"event_format": "cloudevents"})
    assert doors(event(), both) == [("f", "data")]


def test_an_event_that_names_its_function_goes_there_and_nowhere_else() -> None:
    functions = (function("all", {}), function("f", {"event_format": "data"}), function("plain"))
    assert doors(event(function="plain"), *functions) == [("plain", "cloudevents")]
    assert doors(event(function="f"), *functions) == [("f", "data")]
    assert doors(event(function="nobody"), *functions) == [("nobody", "cloudevents")]


def test_a_disabled_function_wants_nothing() -> None:
    assert doors(event(), function("f", {}, enabled=False)) == []


def test_types_are_compared_with_their_case() -> None:
    assert doors(event("Order"), function("f", {"type": "order"})) == []
