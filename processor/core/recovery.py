"""What recovery does with an open intent of a dead executor (DESIGN 5.5), as a function of what it has read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from processor.core.claims import CommitTag
from processor.core.inflight import Intent
from processor.core.ledger import DeliveryState


class Remedy(Enum):
    #: The delivery has its verdict, or belongs to somebody else: only the intent has to go.
    TOMBSTONE = "tombstone"
    #: Append `ended` 500 InstanceLost, then the tombstone.
    CLOSE = "close"
    #: Nothing can be said yet: a commit may still land. Look again later.
    WAIT = "wait"


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """In the order in which they must have been read: a later read may know more, never less, than an earlier one."""

    #: 1. Of the queue partition; None = never committed.
    committed_offset: int | None
    committed_tag: CommitTag | None
    #: 2. Another executor has an open intent for the same delivery.
    claimed_by_other: bool
    #: 3. What `runs` says of the delivery.
    delivery: DeliveryState


def decide(intent: Intent, found: Findings) -> Remedy:
    if found.delivery.verdict is not None:
        return Remedy.TOMBSTONE
    started = found.delivery.started
    if started is not None and started.executor == intent.executor:
        return Remedy.CLOSE
    tag = found.committed_tag
    if tag is not None and (tag.executor, tag.batch) == (intent.executor, intent.batch):
        return Remedy.CLOSE
    if found.committed_offset is None or found.committed_offset <= intent.delivery.offset:
        return Remedy.WAIT
    if found.claimed_by_other or started is not None:
        return Remedy.TOMBSTONE
    return Remedy.CLOSE
