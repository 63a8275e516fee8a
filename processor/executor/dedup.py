from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowPolicy:
    """How long a RequestId is remembered per queue partition (DESIGN 5.3b)."""

    span_ms: int = 600_000
    at_least_records: int = 5_000
    at_most_records: int = 50_000


DEFAULT_WINDOW = WindowPolicy()


class Window:
    """The RequestIds that stood in one queue partition lately: an upstream's repeat of one of them is dropped.

    Time is the log's own (LogAppendTime of the newest record), so a rebuilt window equals the one that was lost.
    """

    __slots__ = ("_entries", "_last_offset", "_policy")

    def __init__(self, policy: WindowPolicy) -> None:
        self._policy = policy
        self._entries: deque[tuple[int, int, bytes]] = deque()
        #: RequestId -> offset of its newest entry, so that forgetting an older entry does not forget the newer one.
        self._last_offset: dict[bytes, int] = {}

    def __contains__(self, request_id: bytes) -> bool:
        return request_id in self._last_offset

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, request_id: bytes, offset: int, timestamp_ms: int) -> None:
        self._entries.append((timestamp_ms, offset, request_id))
        self._last_offset[request_id] = offset
        self._forget(timestamp_ms - self._policy.span_ms)

    def _forget(self, before_ms: int) -> None:
        while len(self._entries) > self._policy.at_least_records and (
            len(self._entries) > self._policy.at_most_records or self._entries[0][0] < before_ms
        ):
            _, offset, request_id = self._entries.popleft()
            if self._last_offset.get(request_id) == offset:
                del self._last_offset[request_id]


def window_start(policy: WindowPolicy, *, low: int, committed: int, offset_at_span: int) -> int:
    """From which offset to read a partition back, so that its window is whole when `committed` is reached.

    offset_at_span: the first offset whose record is younger than the span.
    """
    wanted = min(offset_at_span, committed - policy.at_least_records)
    return min(max(low, wanted, committed - policy.at_most_records), max(committed, low))
