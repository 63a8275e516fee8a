from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from processor.recorder.store import MIN_DAYS


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """How many whole UTC days are kept besides today. Raises ValueError when that is too short."""

    log_days: int
    run_days: int

    def __post_init__(self) -> None:
        if min(self.log_days, self.run_days) < MIN_DAYS:
            raise ValueError(f"history is kept for at least {MIN_DAYS} days")

    def logs_before_ms(self, now_ms: int) -> int:
        return _midnight_before(now_ms, self.log_days)

    def runs_before_ms(self, now_ms: int) -> int:
        return _midnight_before(now_ms, self.run_days)


def _midnight_before(now_ms: int, days: int) -> int:
    midnight = datetime.fromtimestamp(now_ms / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((midnight - timedelta(days=days)).timestamp() * 1000)
