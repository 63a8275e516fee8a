"""What the handler gets. The samples are those that the platforms publish."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from processor.core.event import Event
from triggers.abstract import Binding
from triggers.schedule.firing import firing_by_hand, firing_of, jitter_of
from triggers.schedule.settings import Schedule, UnknownZone

#: 2019-02-21T11:49:00Z
NOMINAL = 1_550_749_740

#: Tencent SCF, "Timer trigger": the event it sends to the function.
SCF_SAMPLE = {
    "Type": "Timer",
    "TriggerName": "EveryDay",
    "Time": "2019-02-21T11:49:00Z",
    "Message": "user define msg body",
}
#: AWS, "Events from EventBridge": a scheduled event.
AWS_SAMPLE = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2015-10-08T16:53:06Z",
    "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:123456789012:rule/my-scheduled-rule"],
    "detail": {},
}


def schedule(creation: int = 1, **settings: Any) -> Schedule:
    filled = {"cron": "* * * * *", **settings}
    return Schedule.of(Binding(function="f", creation=creation, kind="schedule", settings=filled))


def data_of(event: Event) -> Any:
    assert event.data is not None
    return orjson.loads(event.data)


def test_the_scf_shape_is_the_published_one() -> None:
    made = schedule(event_format="scf", name="EveryDay", argument="user define msg body")
    assert data_of(firing_of(made, NOMINAL)) == SCF_SAMPLE


@pytest.mark.parametrize(("argument", "message"), [(None, ""), ({"a": [1]}, '{"a":[1]}'), (5, "5"), ("", "")])
def test_the_message_of_scf_is_always_text(argument: Any, message: str) -> None:
    assert data_of(firing_of(schedule(event_format="scf", argument=argument), NOMINAL))["Message"] == message


def test_the_aws_shape_has_the_published_members_in_their_forms() -> None:
    made = data_of(firing_of(schedule(event_format="aws", name="my-scheduled-rule"), NOMINAL))
    assert list(made) == list(AWS_SAMPLE)
    same = ("version", "detail-type", "source", "detail")
    assert {each: made[each] for each in same} == {each: AWS_SAMPLE[each] for each in same}
    assert made["time"] == "2019-02-21T11:49:00Z"
    assert re.fullmatch(r"\d{12}", made["account"])
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["id"])
    (arn,) = made["resources"]
    assert arn == f"arn:aws:events:{made['region']}:{made['account']}:rule/my-scheduled-rule"


def test_a_mapping_is_the_detail_of_the_aws_shape() -> None:
    assert data_of(firing_of(schedule(event_format="aws", argument={"a": 1}), NOMINAL))["detail"] == {"a": 1}
    assert data_of(firing_of(schedule(event_format="aws", argument=[1]), NOMINAL))["detail"] == {}


@pytest.mark.parametrize("event_format", ["cloudevents", "data"])
def test_otherwise_the_data_is_the_argument(event_format: str) -> None:
    event = firing_of(schedule(event_format=event_format, argument={"days": 7}), NOMINAL)
    assert data_of(event) == {"days": 7}
    assert event.datacontenttype == "application/json"
    nothing = firing_of(schedule(event_format=event_format), NOMINAL)
    assert (nothing.data, nothing.datacontenttype) == (None, None)


def test_the_cloudevent_says_which_schedule_was_due_when() -> None:
    event = firing_of(schedule(name="nightly", creation=3), NOMINAL)
    assert event.source == "cron:f.3/nightly"
    assert event.subject == "nightly"
    assert event.time == "2019-02-21T11:49:00Z"
    assert event.type == "schedule.due"
    assert event.extensions == {}
    standing_for_more = firing_of(schedule(), NOMINAL, missed_since_sec=NOMINAL - 3_600)
    assert standing_for_more.extensions == {"missedsince": "2019-02-21T10:49:00Z"}


def identity(made: Schedule, nominal: int = NOMINAL, **more: Any) -> tuple[str, str]:
    event = firing_of(made, nominal, **more)
    return event.source, event.id


def test_the_identity_is_a_function_of_schedule_and_time_alone() -> None:
    """Written down: another rule would fire everything again that has been fired by this one."""
    assert identity(schedule(name="nightly")) == ("cron:f.1/nightly", "939f78d3-a478-5a5c-bfd4-6a85b4f3127f")
    edited = schedule(name="nightly", cron="0 5 * * *", timezone="Asia/Tokyo", argument=1, event_format="scf")
    assert identity(edited) == identity(schedule(name="nightly"))
    assert identity(schedule(), missed_since_sec=5) == identity(schedule(argument=[1], missed="all", jitter=9.0))


def test_other_schedules_other_creations_and_other_times_have_other_identities() -> None:
    others = [
        identity(schedule()),
        identity(schedule(), NOMINAL + 60),
        identity(schedule(cron="*/2 * * * *")),
        identity(schedule(timezone="Europe/Paris")),
        identity(schedule(creation=2)),
        identity(schedule(name="a")),
    ]
    assert len(set(others)) == len(others)


def test_a_firing_by_hand_has_an_identity_of_its_own_and_says_so() -> None:
    first, second = (firing_by_hand(schedule(argument=1), NOMINAL * 1000) for _ in range(2))
    assert len({first.id, second.id, firing_of(schedule(argument=1), NOMINAL).id}) == 3
    assert first.extensions == {"firedby": "hand"}
    assert (first.source, first.time, first.data) == (second.source, "2019-02-21T11:49:00Z", b"1")


def test_the_jitter_of_a_time_is_the_same_everywhere_and_of_many_times_spreads() -> None:
    jittery = schedule(jitter=10.0)
    found = [jitter_of(jittery, NOMINAL + each) for each in range(200)]
    assert found == [jitter_of(schedule(jitter=10.0), NOMINAL + each) for each in range(200)]
    assert min(found) < 1 < 9 < max(found) < 10
    assert jitter_of(schedule(), NOMINAL) == 0


def test_a_zone_that_this_machine_lacks_is_named() -> None:
    with pytest.raises(UnknownZone, match="'Mars/Base'"):
        schedule(timezone="Mars/Base")
