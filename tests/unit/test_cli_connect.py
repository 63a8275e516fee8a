from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from processor.cli import connect
from processor.cli.connect import BrokerUnreachable, TopicsMissing, await_broker, check_topics, make_transport
from processor.cli.logging_setup import JsonFormat, TextFormat
from processor.cli.settings import KafkaSettings, Settings
from processor.core.topics import TOPICS
from processor.transport.abstract import NotLetIn, Transport, TransportUnavailable
from processor.transport.embedded import EmbeddedTransport


class Away:
    """A transport whose brokers answer at the given try, and its own admin."""

    def __init__(self, answers_at: int, why: TransportUnavailable | None = None) -> None:
        self.asked = 0
        self._answers_at = answers_at
        self._why = why or TransportUnavailable("nobody there")

    def admin(self) -> Away:
        return self

    def topics(self, timeout_sec: float) -> Mapping[str, int]:
        self.asked += 1
        if self.asked < self._answers_at:
            raise self._why
        return {"intake": 4}


def settings(limit_sec: float = 60.0) -> Settings:
    return Settings(transport="kafka", kafka=KafkaSettings(bootstrap_servers="far:9092", start_limit_sec=limit_sec))


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_PAUSE_SEC", 0.001)


def wait_for(away: Away, said: list[str], limit_sec: float = 60.0) -> frozenset[str]:
    return await_broker(cast(Transport, away), settings(limit_sec), said.append, threading.Event())


def test_a_broker_that_comes_late_is_waited_for_and_the_waiting_is_said_once() -> None:
    said: list[str] = []
    assert wait_for(Away(answers_at=5), said) == {"intake"}
    assert said == ["waiting for Kafka at far:9092 (up to 60 s) ..."]


def test_a_broker_that_never_comes_is_an_error_with_its_address_and_the_reason() -> None:
    with pytest.raises(BrokerUnreachable, match=r"far:9092 within 0\.01 s: nobody there") as caught:
        wait_for(Away(answers_at=1_000_000), [], limit_sec=0.01)
    assert "HEADRACE_KAFKA__BOOTSTRAP_SERVERS" in caught.value.remedy


def test_a_broker_that_does_not_let_us_in_is_told_at_once_and_with_its_own_remedy() -> None:
    why, said = NotLetIn("the broker refuses the login", remedy="Correct sasl.password."), list[str]()
    with pytest.raises(BrokerUnreachable, match="refuses the login") as caught:
        wait_for(Away(answers_at=1_000_000, why=why), said, limit_sec=0.01)
    assert caught.value.remedy == "Correct sasl.password."
    assert "refuses the login. Correct sasl.password." in said[0]


def test_who_is_asked_to_stop_waits_no_longer() -> None:
    stopping = threading.Event()
    away = Away(answers_at=1_000_000)
    assert await_broker(cast(Transport, away), settings(), lambda _: stopping.set(), stopping) == frozenset()
    assert away.asked == 1


def test_missing_topics_are_named_with_the_command_that_makes_them() -> None:
    check_topics(frozenset(each.name for each in TOPICS), settings())
    with pytest.raises(TopicsMissing, match="runs") as caught:
        check_topics(frozenset({"intake"}), settings())
    assert "intake" not in caught.value.names
    assert "headrace topics init" in caught.value.remedy


def test_the_embedded_transport_lives_in_the_data_folder(tmp_path: Path) -> None:
    with make_transport(Settings(data_dir=tmp_path)) as transport:
        assert isinstance(transport, EmbeddedTransport)
        assert (tmp_path / "log").is_dir()


def record(**extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("a.b", logging.WARNING, "x.py", 1, "lost %d", (3,), None)
    made.__dict__.update(extra)
    return made


def test_a_log_line_has_its_action_and_ids_as_text_and_as_json() -> None:
    line = record(action="claim", request_id="r1", unrelated="x")
    assert TextFormat().format(line).endswith("WARNING lost 3  action=claim request_id=r1")
    document = json.loads(JsonFormat().format(line))
    assert (document["message"], document["action"], document["request_id"]) == ("lost 3", "claim", "r1")
    assert "unrelated" not in document
