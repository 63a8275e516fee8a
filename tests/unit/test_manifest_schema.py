from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types

from processor.registry.manifest_schema import schema_text

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "config" / "functions.schema.json"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(schema_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def manifest(**entry: Any) -> dict[str, Any]:
    return {"version": 1, "functions": {"hello": {"handler": "app:f", **entry}}}


def test_the_published_schema_is_fresh() -> None:
    assert PUBLISHED.read_text() == schema_text(), (
        "run: python -m processor.registry.manifest_schema > config/functions.schema.json"
    )


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"timeout": 90, "memory": "512Mi", "rate": "20/s", "max_queue_age": "6h", "claim_ahead": 0},
        {"timeout": "1h30m", "memory": None, "max_queue_age": None, "role": None},
        {"events": [{"folder": {"path": "in", "pattern": "*.png"}}, {"http": {"path": "/x"}}]},
        {"events": [{"schedule": {"cron": "* * * * *", "argument": [1]}}, {"kafka": {"topic": "t"}}]},
        {"events": [{"storage": {"bucket": "b", "source": {"sqs": {"queue_url": "http://q/0/u"}}}}]},
    ],
)
def test_good_manifests_fit_the_schema(validator: Draft202012Validator, entry: dict[str, Any]) -> None:
    assert list(validator.iter_errors(manifest(**entry))) == []


@pytest.mark.parametrize(
    "document",
    [
        {"version": 2, "functions": {}},
        {"version": 1},
        {"version": 1, "functions": {"9": {"handler": "a:b"}}},
        manifest(handler=5),
        manifest(timeout="soon"),
        manifest(timeout=""),
        manifest(memory=512),
        manifest(rate=20),
        manifest(concurrency=0),
        manifest(env={"A": True}),
        manifest(typo=1),
        manifest(events=[{}]),
        manifest(events=[{"http": {"path": "/x"}, "folder": {"path": "x"}}]),
        manifest(events=[{"http": {"path": "/x", "event_format": "raw"}}]),
    ],
)
def test_bad_manifests_do_not_fit_the_schema(validator: Draft202012Validator, document: dict[str, Any]) -> None:
    assert list(validator.iter_errors(document))


def test_the_examples_of_the_project_fit_the_schema(validator: Draft202012Validator) -> None:
    for path in sorted((ROOT / "examples").rglob("functions.yaml")):
        found = [each.message for each in validator.iter_errors(yaml.safe_load(path.read_text()))]
        assert found == [], path
