"""HTTP load at a steady rate over keep-alive connections, measured at the client."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import orjson

from processor.core.errors import HeadraceError


class LoadFailed(HeadraceError):
    """The gateway did not accept the load."""


@dataclass(slots=True)
class Answers:
    """Per accepted request: how long the answer took, and when it was here (Unix seconds)."""

    seconds: list[float] = field(default_factory=list)
    answered_at: dict[str, float] = field(default_factory=dict)


async def invoke_steadily(
    host: str, port: int, function: str, *, per_sec: float, seconds: float, connections: int = 8
) -> Answers:
    """Sends at the given rate whether or not answers are slow: waiting for them would hide the slow ones."""
    answers = Answers()
    due: asyncio.Queue[float | None] = asyncio.Queue()
    workers = [asyncio.create_task(_worker(host, port, function, due, answers)) for _ in range(connections)]
    start = time.perf_counter()
    for number in range(int(per_sec * seconds)):
        at = start + number / per_sec
        await asyncio.sleep(max(at - time.perf_counter(), 0))
        due.put_nowait(at)
    for _ in workers:
        due.put_nowait(None)
    await asyncio.gather(*workers)
    return answers


async def _worker(host: str, port: int, function: str, due: asyncio.Queue[float | None], answers: Answers) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    body = orjson.dumps({"pad": "x" * 200})
    request = (
        f"POST /v1/functions/{function}/invocations HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    while (at := await due.get()) is not None:
        writer.write(request)
        status, answer = await _response(reader)
        now, unix_sec = time.perf_counter(), time.time()
        if status != 202:
            raise LoadFailed(f"the gateway answered {status}: {answer[:200]!r}")
        answers.seconds.append(now - at)
        answers.answered_at[orjson.loads(answer)["request_id"]] = unix_sec
    writer.close()
    await writer.wait_closed()


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    lines = head.decode("latin-1").split("\r\n")
    lengths = [int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")]
    return int(lines[0].split(" ")[1]), await reader.readexactly(lengths[0] if lengths else 0)
