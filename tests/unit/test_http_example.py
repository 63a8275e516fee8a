from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from triggers.http.call import HttpCall
from triggers.http.shapes import aws_event

EXAMPLE = Path(__file__).parents[2] / "examples/http/orders.py"


@pytest.fixture(scope="module")
def orders() -> ModuleType:
    spec = importlib.util.spec_from_file_location("orders", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream"])
def test_the_example_adds_up_what_was_posted(orders: ModuleType, content_type: str) -> None:
    call = HttpCall(
        method="POST",
        path="/shops/7/orders",
        template="/shops/{shop}/orders",
        any_method=False,
        path_parameters={"shop": "7"},
        query="",
        raw_headers=[],
        content_type=content_type,
        body=b'{"lines":[{"price":1.5,"count":2},{"price":4}]}',
        source_ip="127.0.0.1",
        http_version="1.1",
        unix_ms=0,
    )
    context = SimpleNamespace(aws_request_id="run")
    assert orders.handler(aws_event(call, "run"), context) == {"shop": "7", "total": 7.0, "request_id": "run"}
