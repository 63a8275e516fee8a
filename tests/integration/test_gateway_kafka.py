"""The same gateway on a real broker: what the embedded transport cannot show."""

from __future__ import annotations

import asyncio
from pathlib import Path

from processor.transport.kafka import KafkaTransport
from tests.integration.gateway_rig import accepted, ended, running, started


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
