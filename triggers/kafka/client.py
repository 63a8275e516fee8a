"""How this adapter's clients are set, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from processor.core.topics import MAX_MESSAGE_BYTES
from triggers.kafka.settings import Cluster, SourceSettings

T = TypeVar("T")

#: One request of any client, and what waits for one.
REQUEST_MS = 5_000
CALL_SEC = 6.0
#: A member that died is noticed after this long.
SESSION_MS = 6_000
#: A rebalance waits this long for what members have in hand (they give it up much sooner) and for dead members.
REBALANCE_MS = 30_000
#: How soon partitions that were added are noticed, and leaders that moved without a word.
METADATA_MS = 10_000
#: A loop that has not polled for this long has hung: its partitions go to somebody else.
POLL_LIMIT_MS = 60_000


def client_settings(cluster: Cluster) -> dict[str, Any]:
    return {
        "bootstrap_servers": cluster.bootstrap_servers,
        "client_id": "headrace-trigger",
        "request_timeout_ms": REQUEST_MS,
        "retry_backoff_ms": 100,
        "metadata_max_age_ms": METADATA_MS,
        **cluster.options,
    }


def consumer_settings(settings: SourceSettings, session_ms: int) -> dict[str, Any]:
    return {
        **client_settings(settings.cluster),
        "group_id": settings.group,
        "enable_auto_commit": False,  # only what is durable on the intake is committed
        "auto_offset_reset": "none",  # never a silent restart from either end
        "isolation_level": "read_committed",  # an aborted record is no event
        "session_timeout_ms": session_ms,
        "heartbeat_interval_ms": session_ms // 5,
        "rebalance_timeout_ms": REBALANCE_MS,
        "request_timeout_ms": REBALANCE_MS + REQUEST_MS,  # joining is one request that a rebalance holds back
        "max_poll_interval_ms": POLL_LIMIT_MS,
        "fetch_max_wait_ms": 100,  # bounds the wait of a partition that is resumed or begins
        "max_partition_fetch_bytes": MAX_MESSAGE_BYTES,
        "fetch_max_bytes": 8 * MAX_MESSAGE_BYTES,  # bounds memory
    }


async def to_its_end(connecting: Awaitable[T]) -> T:
    """A client that is cancelled while it connects forgets its socket. It ends by itself, within two requests; who is
    cancelled here waits for that.
    """
    task = asyncio.ensure_future(connecting)
    try:
        return await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait({task})
