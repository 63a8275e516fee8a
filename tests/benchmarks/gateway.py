"""Latency of accepted HTTP events: python -m tests.benchmarks.gateway [PER_SECOND] [SECONDS]

The gateway, the embedded transport and the recorder share this process; the client is another one, with 32 keep-alive
connections that send at fixed times, so a slow answer is counted from when its request was due.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from processor.core.function import Function
from tests.integration.gateway_rig import Connection, function, running

CONNECTIONS = 32
BODY = b'{"bucket":"photos","key":"2026/11/24/a.jpg","pad":"' + b"x" * 900 + b'"}'


async def serve(per_sec: int, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder)) as rig:
            rig.deploy(_unlimited())
            client = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.benchmarks.gateway", "client", str(rig.port), str(per_sec), str(seconds)
            )
            began = time.process_time()
            await client.wait()
            cpu_sec = time.process_time() - began
            sys.stdout.write(f"server CPU per request {cpu_sec / (per_sec * seconds) * 1e6:.0f} us\n")


def _unlimited() -> Function:
    return function(rate_per_sec=1e6, revision=2)


async def drive(port: int, per_sec: int, seconds: int) -> None:
    total = per_sec * seconds
    begin = asyncio.get_running_loop().time() + 0.5
    took: list[float] = []
    await asyncio.gather(
        *(
            _connection(port, [begin + n / per_sec for n in range(k, total, CONNECTIONS)], took)
            for k in range(CONNECTIONS)
        )
    )
    took.sort()
    p50, p99 = statistics.median(took), took[int(len(took) * 0.99)]
    sys.stdout.write(
        f"{len(took):,} requests at {per_sec}/s: p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {took[-1]:.1f} ms\n"
    )


async def _connection(port: int, due: list[float], took: list[float]) -> None:
    now = asyncio.get_running_loop().time
    connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
    for at in due:
        await asyncio.sleep(max(at - now(), 0.0))
        await connection.send("POST", "/v1/functions/resize/invocations", [("content-type", "application/json")], BODY)
        reply = await connection.reply()
        if reply.status != 202:
            raise SystemExit(f"{reply.status}: {reply.body.decode()}")
        took.append((now() - at) * 1000)
    await connection.close()


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["client"]:
        port, per_sec, seconds = (int(each) for each in arguments[1:])
        uvloop.run(drive(port, per_sec, seconds))
    else:
        per_sec, seconds = (int(each) for each in [*arguments, *["500", "10"][len(arguments) :]])
        uvloop.run(serve(per_sec, seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
