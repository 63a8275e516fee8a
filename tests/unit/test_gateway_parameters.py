from __future__ import annotations

import pytest

from processor.core.run import Status
from processor.gateway.recent import RecentRun, RecentRuns
from processor.gateway.rest import parse_run_query
from processor.http.body import check_json, content_type_of
from processor.http.problems import Problem, Refused
from processor.recorder.store import Place

NOW_MS = 1_795_478_400_000  # 2026-11-24T00:00:00Z


def test_a_whole_query_is_understood() -> None:
    cursor = Place(5, 6).cursor()
    query = parse_run_query(
        {"function": "f", "status": "FAILED", "since": "15m", "cursor": cursor, "limit": "1000"}, NOW_MS
    )
    assert query.function == "f"
    assert query.status is Status.FAILED
    assert query.since_ms == NOW_MS - 900_000
    assert query.cursor == cursor
    assert query.limit == 1000


@pytest.mark.parametrize(
    "text", ["2026-11-24T00:00:00Z", "2026-11-24T01:00:00+01:00", "2026-11-24T01:00:00 01:00", "2026-11-23T19:00-05:00"]
)
def test_since_may_be_a_time_in_any_zone(text: str) -> None:
    assert parse_run_query({"since": text}, 0).since_ms == NOW_MS


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("limit", "0", "limit='0' is not from 1 to 1000"),
        ("limit", "1001", "limit='1001' is not from 1 to 1000"),
        ("limit", "-1", "limit='-1' is not from 1 to 1000"),
        ("limit", "٣", "limit='٣' is not from 1 to 1000"),
        ("status", "DONE", "status='DONE' is not one of QUEUED, RUNNING, FINISHED, FAILED, ABORTED"),
        ("since", "soon", "since='soon' is not a time like 2026-11-24T09:00:00Z, or how long ago, like 15m"),
        (
            "since",
            "2026-11-24T00:00:00",
            "since='2026-11-24T00:00:00' is not a time like 2026-11-24T09:00:00Z, or how long ago, like 15m",
        ),
        ("cursor", "!", "cursor='!' is not a cursor of this list"),
        ("cursor", "MS4y.", "cursor='MS4y.' is not a cursor of this list"),
        ("page", "2", "'page' is not a parameter of this address"),
    ],
)
def test_a_bad_parameter_is_told_what_it_should_be(name: str, text: str, detail: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_run_query({name: text}, NOW_MS)
    assert str(caught.value) == detail
    assert caught.value.problem.errors == [{"parameter": name, "detail": detail}]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(Refused) as caught:
        parse_run_query({"limit": "x", "status": "y", "nope": ""}, NOW_MS)
    assert [each["parameter"] for each in caught.value.problem.errors] == ["nope", "status", "limit"]
    assert caught.value.remedy.startswith("Parameters of this address: function, status, code, since,")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"a":1', "the body is not JSON: unexpected end of data at byte 6"),
        ('{"ä":1,}'.encode(), "the body is not JSON: trailing comma is not allowed at byte 7"),
        (b'{"a":"\xff"}', "the body is not JSON: str is not valid UTF-8: surrogates not allowed at byte 6"),
        (b"NaN", "the body is not JSON: unexpected character, expected a JSON value at byte 0"),
    ],
)
def test_a_body_that_is_no_json_is_told_the_byte(body: bytes, detail: str) -> None:
    with pytest.raises(Refused) as caught:
        check_json(body)
    assert str(caught.value) == detail


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("", b"1", "application/json"),
        ("application/x-www-form-urlencoded", b' {"a":1}', "application/json"),
        ("application/x-www-form-urlencoded", b"a=1", "application/x-www-form-urlencoded"),
        ("text/plain; charset=utf-8", b"{", "text/plain; charset=utf-8"),
    ],
)
def test_what_curl_calls_a_form_is_json_when_it_begins_like_json(content_type: str, body: bytes, kind: str) -> None:
    assert content_type_of(content_type, body) == kind


@pytest.mark.parametrize(("wait_sec", "header"), [(0.0001, b"1"), (1.0, b"1"), (1.2, b"2")])
def test_retry_after_is_a_whole_number_of_seconds_and_never_zero(wait_sec: float, header: bytes) -> None:
    problem = Problem(status=429, name="n", title="t", detail="d", retry_after_sec=wait_sec)
    assert problem.headers() == [(b"retry-after", header)]


def test_recent_runs_are_bounded() -> None:
    recent = RecentRuns(limit=2)
    for name in ("a", "b", "c"):
        recent.add(name, RecentRun("f", "v1", "s", None, NOW_MS, "http"))
    assert recent.document("a") is None
    document = recent.document("c")
    assert document is not None
    assert (document["status"], document["accepted_at"]) == ("QUEUED", "2026-11-24T00:00:00.000Z")
