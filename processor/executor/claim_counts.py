from __future__ import annotations

import logging
from dataclasses import dataclass, field

from processor.executor.partition import Plan

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ClaimCounts:
    """What happened to claims, for people and for the audit."""

    claimed: int = 0
    own_repeats: int = 0
    upstream_repeats: int = 0
    undecodable: int = 0
    refused: int = 0
    unknown: int = 0
    undecided: int = 0
    stopped_partitions: set[str] = field(default_factory=set)


def say_claim(action: str, plan: Plan, count: int) -> None:
    """One line for what happened to so many records of one batch; none for none."""
    if count:
        fields = {"action": action, "partition": plan.partition.partition, "offset": plan.next_offset}
        log.info("%s: %d records of %s/%d", action, count, *plan.partition, extra=fields)
