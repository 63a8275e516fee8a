"""A broker of our own that wants a login and grants rights one by one, and that can be taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import admin

from deploy.kafka.broker import LOOPBACK, LocalKafka, free_ports
from deploy.kafka.errors import Unavailable
from tests.broker import FIRST_TEST_LIMIT_SEC, unavailable, warm
from tests.integration.kafka_source_rig import LIMIT_SEC, Rig, Source, run, until_state
from triggers.abstract import TriggerState

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(FIRST_TEST_LIMIT_SEC)]
_Admin: Any = admin  # its types do not export what a right is made of
_USER, _PASSWORD, _VARIABLE = "alice", "right", "TEST_KAFKA_PASSWORD"
_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"
_EXTRA = {
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'{_MODULE} required user_{_USER}="{_PASSWORD}";',
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triggers.kafka.session.LOOK_SEC", 0.3)
    monkeypatch.setattr("triggers.kafka.adapter.RETRY_SEC", 0.1)


class Guarded:
    """Who comes without a login may do everything; alice only what is granted."""

    def __init__(self, folder: Path) -> None:
        (self._port,) = free_ports(1)
        self.kafka = LocalKafka(data_dir=folder, extra=_EXTRA)
        (node,), listener = self.kafka.nodes, f"SASL_PLAINTEXT://{LOOPBACK}:{self._port}"
        more = {
            "listeners": listener,
            "advertised.listeners": listener,
            "listener.security.protocol.map": "SASL_PLAINTEXT:SASL_PLAINTEXT",
        }  # behind what the template says of the other listeners
        node.config = {**node.config, **{name: f"{node.config[name]},{text}" for name, text in more.items()}}

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": f"{LOOPBACK}:{self._port}",
            "security": {
                "protocol": "SASL_PLAINTEXT",
                "mechanism": "PLAIN",
                "username": _USER,
                "password_env": _VARIABLE,
            },
        }


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = Guarded(tmp_path_factory.mktemp("kafka"))
    try:
        made.kafka.start()
        made.kafka.wait_ready()
        warm(made.kafka.bootstrap_servers)
    except Unavailable as why:
        made.kafka.kill()
        unavailable(why)
    try:
        yield made
    finally:
        made.kafka.kill()


def grant(source: Source, kind: str, name: str, operation: str) -> None:
    literal, allow = _Admin.ResourcePatternType.LITERAL, _Admin.AclPermissionType.ALLOW
    resource, allowed = _Admin.ResourceType[kind], _Admin.AclOperation[operation]
    binding = _Admin.AclBinding(resource, name, literal, f"User:{_USER}", "*", allowed, allow)
    source.admin.create_acls([binding])[binding].result(LIMIT_SEC)


def test_login_and_rights_are_asked_for_one_after_the_other(
    guarded: Guarded, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        source = Source(guarded.kafka.bootstrap_servers, f"{topic_prefix}orders").create()
        source.send(b"1")
        rig = Rig(source, group="readers", **guarded.settings)
        monkeypatch.setenv(_VARIABLE, "wrong")
        async with rig.running() as trigger:
            await rig.until(lambda: "refuses the login" in trigger.health.reason)
            assert "password_env" in trigger.health.remedy
        monkeypatch.setenv(_VARIABLE, _PASSWORD)
        async with rig.running() as trigger:
            await rig.until(lambda: "to describe the topic" in trigger.health.reason)
            grant(source, "TOPIC", source.topic, "DESCRIBE")
            await rig.until(lambda: "consumer group 'readers'" in trigger.health.reason)
            grant(source, "GROUP", "readers", "READ")
            await rig.until(lambda: "to read the topic" in trigger.health.reason)
            assert "Grant READ and DESCRIBE" in trigger.health.remedy
            assert trigger.health.state is TriggerState.WAITING
            grant(source, "TOPIC", source.topic, "READ")
            await rig.until_events(1)
            await until_state(rig, trigger, TriggerState.WATCHING)

    run(main)


@pytest.mark.slow
def test_a_broker_that_goes_away_and_comes_back_costs_no_record(guarded: Guarded, topic_prefix: str) -> None:
    async def main() -> None:
        source = Source(guarded.kafka.bootstrap_servers, f"{topic_prefix}orders").create(2)
        source.send(*(b"%d" % n for n in range(100)))
        rig = Rig(source)
        async with rig.running() as trigger:
            await rig.until_events(100)
            await asyncio.to_thread(guarded.kafka.nodes[0].kill)
            await until_state(rig, trigger, TriggerState.WAITING)
            assert "no broker answers" in trigger.health.reason
            await asyncio.to_thread(guarded.kafka.nodes[0].restart)
            await asyncio.to_thread(source.send, *(b"%d" % n for n in range(100, 200)))
            await rig.until(lambda: len(set(rig.data)) == 200)
            await until_state(rig, trigger, TriggerState.WATCHING)

    run(main)
