from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from processor.registry.manifest import EntryInvalid, parse_entry
from processor.registry.spec import FunctionSpec


def pointers_of(name: str, document: Any, base_dir: Path) -> dict[str, str]:
    with pytest.raises(EntryInvalid) as caught:
        parse_entry(name, document, base_dir)
    return {each.pointer: str(each) for each in caught.value.problems}


def test_one_function_as_json_is_what_it_is_in_the_manifest(tmp_path: Path) -> None:
    document = {"handler": "app:f", "timeout": "2m", "memory": None, "events": [{"folder": {"path": "in"}}]}
    assert parse_entry("hello", document, tmp_path) == FunctionSpec(
        name="hello",
        handler="app:f",
        code=tmp_path,
        not_code=(tmp_path / "in",),
        timeout_sec=120.0,
        events=({"folder": {"event_format": "cloudevents", "path": str(tmp_path / "in"), "pattern": "*"}},),
    )


def test_every_mistake_has_its_json_pointer(tmp_path: Path) -> None:
    document = {
        "code": "nowhere",
        "timeout": "99h",
        "env": {"a/b~c": 1, "D": True},
        "events": [{"http": {"path": "/x"}}, {"schedule": {"cron": 5}}],
    }
    found = pointers_of("9lives", document, tmp_path)
    assert set(found) == {"", "/handler", "/code", "/timeout", "/env/a~1b~0c", "/env/D", "/events/1/schedule/cron"}
    assert found[""].startswith("'9lives' is not a function name")
    assert found["/timeout"] == "timeout: '99h' is longer than 24h; use 1s..24h"
    assert found["/env/D"] == "env.D: 'true' must be text; this is true or false; put it in quotes"


@pytest.mark.parametrize("document", [None, [], 5, "x"])
def test_what_is_no_object_is_refused(document: Any, tmp_path: Path) -> None:
    assert "" in pointers_of("hello", document, tmp_path)


def test_a_typo_is_told_with_the_field_that_was_meant(tmp_path: Path) -> None:
    found = pointers_of("hello", {"handler": "m:f", "events": [{"http": {"path": "/x", "methd": "GET"}}]}, tmp_path)
    assert "did you mean method?" in found["/events/0/http/methd"]
