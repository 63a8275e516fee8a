from __future__ import annotations

import ssl
from collections import Counter

import pytest
from confluent_kafka import Consumer, KafkaError, Producer

from processor.core.topics import CONTROL, INTAKE, MAX_MESSAGE_BYTES, QUEUES, RUNS, Topic
from processor.transport.abstract import Outcome, TransportError
from processor.transport.kafka.admin import topic_config
from processor.transport.kafka.errors import append_outcome, commit_outcome, stops_fetching
from processor.transport.kafka.groups import choose
from processor.transport.kafka.security import checked, for_asyncio
from processor.transport.kafka.settings import TABLE, For, client_settings

DEFAULTS_4_3 = {
    "group.consumer.session.timeout.ms": "45000",
    "group.consumer.min.session.timeout.ms": "45000",
    "group.consumer.max.session.timeout.ms": "60000",
    "group.consumer.heartbeat.interval.ms": "5000",
    "group.consumer.min.heartbeat.interval.ms": "5000",
    "group.consumer.max.heartbeat.interval.ms": "15000",
    "group.consumer.assignment.interval.ms": "1000",
}
LOWERED = DEFAULTS_4_3 | {
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.min.heartbeat.interval.ms": "500",
}


def test_every_setting_has_a_reason_and_stands_once() -> None:
    assert all(each.reason for each in TABLE)
    assert max(Counter((each.used_by, each.name) for each in TABLE).values()) == 1


@pytest.mark.parametrize("roles", [(For.FETCHING, For.MEMBER, For.CLASSIC), (For.FETCHING, For.READER)])
def test_the_client_accepts_the_settings_of_a_consumer(roles: tuple[For, ...]) -> None:
    Consumer({**client_settings(*roles), "bootstrap.servers": "127.0.0.1:1", "group.id": "g", "log_level": 0}).close()


def test_the_client_accepts_the_settings_of_a_producer() -> None:
    Producer({**client_settings(For.PRODUCER), "bootstrap.servers": "127.0.0.1:1", "log_level": 0}).close()


def test_a_broker_that_notices_the_dead_too_late_gets_classic_members() -> None:
    chosen = choose("auto", 6_000, DEFAULTS_4_3)
    assert chosen.settings == {"group.protocol": "classic", "session.timeout.ms": 6_000, "heartbeat.interval.ms": 1_000}


def test_a_broker_before_4_3_gets_classic_members() -> None:
    older = {name: value for name, value in LOWERED.items() if "assignment" not in name}
    assert choose("auto", 6_000, older).settings["group.protocol"] == "classic"
    assert choose("consumer", 6_000, older).settings == {"group.protocol": "consumer"}


def test_a_broker_that_allows_short_sessions_is_told_so_for_the_group() -> None:
    chosen = choose("auto", 6_000, LOWERED)
    assert chosen.settings == {"group.protocol": "consumer"}
    assert chosen.group_config == {
        "consumer.session.timeout.ms": "6000",
        "consumer.heartbeat.interval.ms": "1000",
    }


def test_a_broker_whose_defaults_are_short_is_told_nothing() -> None:
    tuned = LOWERED | {"group.consumer.session.timeout.ms": "6000", "group.consumer.heartbeat.interval.ms": "1000"}
    assert choose("auto", 6_000, tuned).group_config == {}


def test_a_broker_without_the_consumer_protocol_refuses_to_be_told_so() -> None:
    with pytest.raises(TransportError, match="classic"):
        choose("consumer", 6_000, {})


@pytest.mark.parametrize(
    ("topic", "policy", "retention_ms"),
    [
        (INTAKE, "delete", "-1"),
        (RUNS, "delete", str(RUNS.retention_ms)),
        (QUEUES, "compact", None),
        (CONTROL, "compact,delete", str(CONTROL.retention_ms)),
    ],
)
def test_a_topic_is_kept_as_the_table_says(topic: Topic, policy: str, retention_ms: str | None) -> None:
    config = topic_config(topic, 1)
    assert (config["cleanup.policy"], config.get("retention.ms")) == (policy, retention_ms)
    assert config["max.message.bytes"] == str(MAX_MESSAGE_BYTES)
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert "min.insync.replicas" not in config


def test_three_replicas_acknowledge_on_two() -> None:
    assert topic_config(INTAKE, 3)["min.insync.replicas"] == "2"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, Outcome.NO),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Outcome.NO),
        (KafkaError._MSG_TIMED_OUT, Outcome.UNKNOWN),
        (KafkaError._PURGE_INFLIGHT, Outcome.UNKNOWN),
        (KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, Outcome.UNKNOWN),
    ],
)
def test_an_append_is_refused_only_when_it_certainly_is(code: int, outcome: Outcome) -> None:
    assert append_outcome(KafkaError(code)) is outcome


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (KafkaError.UNKNOWN_MEMBER_ID, Outcome.NO),
        (KafkaError.ILLEGAL_GENERATION, Outcome.NO),
        (KafkaError.STALE_MEMBER_EPOCH, Outcome.NO),
        (KafkaError.NOT_COORDINATOR, Outcome.UNKNOWN),
        (KafkaError._TIMED_OUT, Outcome.UNKNOWN),
        (KafkaError.OFFSET_METADATA_TOO_LARGE, Outcome.UNKNOWN),
    ],
)
def test_a_commit_is_refused_only_by_its_fence(code: int, outcome: Outcome) -> None:
    assert commit_outcome(KafkaError(code)) is outcome
    assert commit_outcome(None) is Outcome.YES


def test_reading_stops_where_going_on_would_skip_records() -> None:
    assert stops_fetching(KafkaError(KafkaError._AUTO_OFFSET_RESET))
    assert stops_fetching(KafkaError(KafkaError._BAD_MSG))
    assert not stops_fetching(KafkaError(KafkaError._TRANSPORT))
    assert not stops_fetching(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))


def test_sasl_reaches_both_clients() -> None:
    security = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "p",
        "ssl.endpoint.identification.algorithm": "none",
    }
    assert checked(security) == security
    found = for_asyncio(security)
    context = found.pop("ssl_context")
    assert isinstance(context, ssl.SSLContext)
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_REQUIRED)
    assert found == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


@pytest.mark.parametrize(
    "security",
    [
        {"sasl.oauthbearer.config": "x"},
        {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"},
        {"security.protocol": "SSL", "ssl.ca.location": "/does/not/exist"},
    ],
)
def test_security_that_the_asyncio_client_cannot_do_is_refused(security: dict[str, str]) -> None:
    with pytest.raises(TransportError):
        for_asyncio(security)


def test_other_settings_are_no_security() -> None:
    with pytest.raises(TransportError, match="acks"):
        checked({"acks": "0"})
