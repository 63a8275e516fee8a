from __future__ import annotations

from collections.abc import Mapping

import pytest

from processor.core.function import Function, FunctionVersion
from processor.http.message import Request, Response
from triggers.http.declared import is_called, is_declared
from triggers.http.routes import Found, Route, Routes, RouteTaken, Template


async def nothing(request: Request, parameters: Mapping[str, str]) -> Response:
    return Response(status=202)


def route(path: str, *methods: str, owner: str = "http of f") -> Route:
    return Route(template=Template.of(path), methods=frozenset(methods or ("POST",)), owner=owner, answer=nothing)


def segments(path: str) -> list[str]:
    return path.split("/")[1:]


def found(routes: Routes, method: str, path: str) -> tuple[str, dict[str, str]]:
    answer = routes.find(method, segments(path))
    assert isinstance(answer, Found)
    return answer.route.template.path, answer.parameters


def test_parameters_take_one_part_each_and_never_an_empty_one() -> None:
    routes = Routes()
    routes.add(route("/shops/{shop}/orders/{order_id}"))
    assert found(routes, "POST", "/shops/a b/orders/7") == (
        "/shops/{shop}/orders/{order_id}",
        {"shop": "a b", "order_id": "7"},
    )
    for path in ("/shops//orders/7", "/shops/a/orders", "/shops/a/orders/7/", "/shops/a/bills/7"):
        assert routes.find("POST", segments(path)) == []


def test_text_counts_before_a_parameter_whatever_came_first() -> None:
    routes = Routes()
    for path in ("/{a}/{b}", "/{a}/new", "/orders/{b}", "/orders/new"):
        routes.add(route(path))
    assert found(routes, "POST", "/orders/new")[0] == "/orders/new"
    assert found(routes, "POST", "/orders/7")[0] == "/orders/{b}"
    assert found(routes, "POST", "/bills/new")[0] == "/{a}/new"
    assert found(routes, "POST", "/bills/7")[0] == "/{a}/{b}"


def test_a_path_that_knows_the_method_counts_before_one_that_does_not() -> None:
    routes = Routes()
    routes.add(route("/orders/new", "GET"))
    routes.add(route("/orders/{id}", "POST", "PUT"))
    assert found(routes, "PUT", "/orders/new") == ("/orders/{id}", {"id": "new"})
    assert routes.find("DELETE", segments("/orders/new")) == ["GET", "POST", "PUT"]


def test_any_takes_every_method() -> None:
    routes = Routes()
    routes.add(route("/x", "ANY"))
    for method in ("GET", "POST", "OPTIONS", "PURGE"):
        assert found(routes, method, "/x")[0] == "/x"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (route("/x"), route("/x")),
        (route("/x", "ANY"), route("/x", "GET")),
        (route("/x", "GET"), route("/x", "ANY")),
        (route("/x/{a}", "GET", "PUT"), route("/x/{b}", "PUT", "POST")),
    ],
)
def test_the_second_of_two_routes_for_one_request_is_refused_with_a_remedy(first: Route, second: Route) -> None:
    routes = Routes()
    routes.add(first)
    with pytest.raises(RouteTaken) as caught:
        routes.add(second)
    assert "http of f" in str(caught.value)
    assert caught.value.remedy
    routes.remove(first)
    routes.add(second)
    assert routes.find("HEAD", segments("/y")) == []


def test_routes_that_share_no_request_stand_side_by_side() -> None:
    routes = Routes()
    for each in (route("/x", "GET"), route("/x", "POST"), route("/{a}", "GET"), route("/x/", "GET")):
        routes.add(each)
    assert found(routes, "GET", "/x")[0] == "/x"
    assert found(routes, "GET", "/x/")[0] == "/x/"


def test_encoded_text_in_a_path_means_its_character() -> None:
    routes = Routes()
    routes.add(route("/a%20b"))
    assert found(routes, "POST", "/a b")[0] == "/a%20b"


def test_a_path_of_a_disabled_function_is_still_known() -> None:
    version = FunctionVersion(version="v", handler="m:f", code_digest="0" * 64)
    events = (
        {"http": {"path": "/orders/{id}"}},
        {"storage": {"bucket": "b", "source": {"webhook": {"path": "/hook"}}}},
        {"storage": {"bucket": "b", "source": {"kafka": {"topic": "t"}}}},
        {"folder": {"path": "/in"}},
    )
    functions = [Function(name="f", current=version, events=events, enabled=False)]
    assert is_declared(functions, segments("/orders/7"))
    assert is_declared(functions, segments("/hook"))
    assert not is_declared(functions, segments("/in"))
    assert not is_declared([], segments("/hook"))
    assert [is_called(kind, settings) for each in events for kind, settings in each.items()] == [
        True,
        True,
        False,
        False,
    ]
