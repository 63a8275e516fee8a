from __future__ import annotations

from typing import Any

from processor.gateway.told import ToldEnds


def of(told: ToldEnds, name: str, **known: Any) -> str:
    """The status that somebody is told while the history says RUNNING."""
    return str(told.over({"request_id": name, "status": "RUNNING", **known})["status"])


def test_what_was_told_is_found_again_and_nobody_can_change_it() -> None:
    told = ToldEnds()
    told.add({"request_id": "a", "status": "FINISHED"})
    told.over({"request_id": "a"})["status"] = "RUNNING"
    assert of(told, "a") == "FINISHED"
    assert of(told, "b") == "RUNNING"


def test_the_oldest_go_when_there_is_too_much() -> None:
    told = ToldEnds(limit_bytes=1_000)
    for name in ("a", "b", "a", "c"):
        told.add({"request_id": name, "status": "FINISHED", "result": "x" * 400})
    assert [of(told, each) for each in "abc"] == ["FINISHED", "RUNNING", "FINISHED"]
    told.add({"request_id": "large", "status": "FINISHED", "result": "x" * 2_000})
    assert of(told, "large") == "RUNNING"
    told.add({"request_id": "d", "status": "FINISHED", "result": "x"})
    assert of(told, "d") == "FINISHED"


def test_a_further_delivery_of_the_same_request_id_is_not_what_was_told_of() -> None:
    told = ToldEnds()
    told.add({"request_id": "a", "status": "FINISHED"})
    assert of(told, "a", deliveries=2) == "RUNNING"
    told.add({"request_id": "a", "status": "FAILED", "deliveries": 2})
    assert of(told, "a", deliveries=2) == "FAILED"
