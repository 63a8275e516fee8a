"""What functions.yaml says of a wrong schedule, and what a right one becomes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from processor.registry.manifest import ManifestInvalid, load_manifest


def load(folder: Path, **schedule: Any) -> Mapping[str, Any]:
    entry = {"handler": "app:f", "events": [{"schedule": {"cron": "0 2 * * *", **schedule}}]}
    path = folder / "functions.yaml"
    path.write_text(json.dumps({"version": 1, "functions": {"hello": entry}}))  # JSON is YAML
    (event,) = load_manifest(path).functions["hello"].events
    settings: Mapping[str, Any] = event["schedule"]
    return settings


def test_every_setting_has_a_default(tmp_path: Path) -> None:
    assert load(tmp_path) == {
        "cron": "0 2 * * *",
        "timezone": "UTC",
        "missed": "last",
        "max_catchup": 100,
        "grace": 60.0,
        "jitter": 0.0,
        "event_format": "cloudevents",
    }


@pytest.mark.parametrize("event_format", ["cloudevents", "data", "scf", "aws"])
def test_every_setting_is_understood(tmp_path: Path, event_format: str) -> None:
    wanted = {
        "cron": "0 */30 9-17 ? * MON-FRI 2027",
        "timezone": "Asia/Shanghai",
        "name": "nightly_1-a",
        "missed": "all",
        "max_catchup": 5,
        "argument": {"days": [7]},
        "event_format": event_format,
    }
    assert load(tmp_path, **wanted, grace="2m", jitter=1.5) == {**wanted, "grace": 120.0, "jitter": 1.5}


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (
            {"cron": "* * 31 2 *"},
            "schedule.cron: '* * 31 2 *' never fires; name a day that its months (and years) have",
        ),
        ({"cron": "0 0 15W * *"}, "W (the nearest workday) is not offered: use MON-FRI in the weekday field"),
        ({"cron": "61 * * * *"}, "has the minute '61'; use 0-59"),
        ({"cron": "@reboot"}, "'@reboot' is not a macro; use one of @yearly"),
        ({"cron": "* *"}, "'* *' has 2 fields; write 5"),
        ({"cron": ""}, "cron"),
        ({"timezone": "Mars/Base"}, "'Mars/Base' is not a time zone"),
        ({"timezone": "../etc/passwd"}, "is not a time zone"),
        ({"missed": "some"}, "missed"),
        ({"max_catchup": 0}, "max_catchup"),
        ({"grace": "10m"}, "is longer than 9m; use 0s..9m"),
        ({"jitter": "1h"}, "is longer than 5m; use 0s..5m"),
        ({"name": "a/b"}, "name"),
        ({"event_format": "raw"}, "event_format"),
    ],
)
def test_a_mistake_is_told_with_what_to_write_instead(tmp_path: Path, schedule: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestInvalid) as raised:
        load(tmp_path, **schedule)
    assert words in str(raised.value)


def load_two(folder: Path, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    events = [{"schedule": first}, {"http": {"path": "/call"}}, {"schedule": second}]
    path = folder / "functions.yaml"
    path.write_text(json.dumps({"version": 1, "functions": {"hello": {"handler": "app:f", "events": events}}}))
    load_manifest(path)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"cron": "0 2 * * mon"}, {"cron": "0 2 * *  MON", "argument": 1}, "has the times of events[0]"),
        ({"cron": "@daily"}, {"cron": "@daily", "timezone": "UTC"}, "has the times of events[0]"),
        ({"cron": "@daily", "name": "a"}, {"cron": "@hourly", "name": "a"}, "has the name of events[0]"),
    ],
)
def test_two_schedules_that_could_not_be_told_apart_are_a_mistake(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], words: str
) -> None:
    with pytest.raises(ManifestInvalid) as raised:
        load_two(tmp_path, first, second)
    (problem,) = raised.value.problems
    assert problem.where == "functions.hello.events[2].schedule"
    assert words in problem.message
    assert problem.remedy == "give each of them a `name` of its own"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"cron": "@daily"}, {"cron": "@daily", "timezone": "Asia/Shanghai"}),
        ({"cron": "@daily"}, {"cron": "@daily", "name": "another"}),
        ({"cron": "@daily"}, {"cron": "@hourly"}),
    ],
)
def test_schedules_with_other_times_or_names_stand_side_by_side(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any]
) -> None:
    load_two(tmp_path, first, second)
