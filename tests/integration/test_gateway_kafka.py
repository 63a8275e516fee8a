"""The same gateway on a real broker: what the embedded transport cannot show."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from processor.gateway.service import Gateway
from processor.registry.code_store import CodeStore
from processor.transport.kafka import KafkaTransport
from tests.integration.gateway_rig import LIMIT_SEC, Rig, accepted, ended, eventually, function, running, started
from tests.integration.test_gateway_replay import event_of
from tests.integration.test_gateway_sync import accepted_run


def test_accept_follow_and_end_on_kafka(tmp_path: Path, kafka_bootstrap: str, topic_prefix: str) -> None:
    async def scenario() -> None:
        transport = KafkaTransport(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)
        async with running(tmp_path, on=transport) as rig:
            first, again = [await rig.invoke(b'{"n":1}', idempotency_key="k") for _ in range(2)]
            run = first.json["request_id"]
            assert (first.status, again.body) == (202, first.body)
            assert [each.key for each in rig.intake()] == [run.encode()]
            rig.write(accepted(run), started(run))
            rig.log(run, 1, 2)
            async with rig.follow(run) as events:
                for seq in (3, 4):
                    rig.log(run, seq, seq)
                rig.write(ended(run, lines=4))
                lines, document = await events.until("end")
            assert [each["seq"] for each in lines] == [1, 2, 3, 4]
            assert document["status"] == "FINISHED"
            await rig.until_recorded(run, "FINISHED")

    asyncio.run(scenario())


def test_a_synchronous_call_a_replay_and_the_changes_on_kafka_with_two_gateways(
    tmp_path: Path, kafka_bootstrap: str, topic_prefix: str
) -> None:
    async def scenario() -> None:
        transport = KafkaTransport(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)
        async with running(tmp_path, on=transport) as rig, second_gateway(rig, tmp_path) as other:
            rig.deploy(function(async_execution=False, revision=2))

            async def known() -> bool:
                return all(each._catalog.functions()[0].revision == 2 for each in (rig.gateway, other))

            await eventually(known)
            with other._hub.watch(None) as watcher:
                assert await other._hub.ready(LIMIT_SEC)
                waiting = asyncio.create_task(rig.invoke(b'{"n":1}', idempotency_key="k"))
                run = await accepted_run(rig)
                (record,) = rig.intake()
                rig.write(replace(accepted(run), accepted_at_ms=record.timestamp_ms), started(run), ended(run))
                assert (await waiting).json["result"] == {"ok": True}
                changed: dict[str, object] = {}
                async with asyncio.timeout(LIMIT_SEC):
                    while changed.get("status") != "FINISHED":
                        changed |= (await watcher.next(1.0, 0.0)).get(run, {})
            await rig.until_recorded(run, "FINISHED")
            replayed = await rig.ask("POST", f"/v1/runs/{run}/replay", body=b'{"id":"1"}')
            assert (replayed.status, event_of(rig, replayed.json["request_id"]).data) == (202, b'{"n":1}')
            assert (await rig.ask("GET", "/v1/queues")).json["intake_lag"] == 2

    asyncio.run(scenario())


@contextlib.asynccontextmanager
async def second_gateway(rig: Rig, data: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway(
        transport=rig.transport,
        store=rig.store,
        registry=rig.registry,
        code=CodeStore(data / "code"),
        clock=rig.clock,
        port=0,
        drain_sec=3,
    )
    await gateway.start()
    try:
        await gateway.ready()
        yield gateway
    finally:
        await gateway.stop()
