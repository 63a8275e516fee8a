"""How ledger records become the row of a run: the ledger's own fold per delivery, and which delivery is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from processor.core.ledger import Accepted, DeliveryState, Ended, LedgerRecord, Started, decode, fold
from processor.core.run import Delivery, Status
from processor.recorder.document import RunDocument, apply_started, apply_verdict, queued_document

#: Stands for "no delivery": an event that got its verdict without ever reaching a queue.
NO_DELIVERY = ""


class DeliveryFold:
    """One delivery: its state, and the two ledger records that made it, as the log has them."""

    __slots__ = ("name", "started", "state", "verdict")

    def __init__(self, name: str, started: str | None = None, verdict: str | None = None, void: int = 0) -> None:
        self.name = name
        self.started = started
        self.verdict = verdict
        first, last = started and decode(started.encode()), verdict and decode(verdict.encode())
        assert not isinstance(first, Accepted | Ended)
        assert not isinstance(last, Accepted | Started)
        self.state = DeliveryState(started=first or None, verdict=last or None, void_verdicts=void)

    @property
    def status(self) -> Status:
        """A delivery is heard of only after its claim: running, even if `started` itself has not come (yet)."""
        return Status.RUNNING if self.state.verdict is None else self.state.verdict.status

    def apply(self, record: Started | Ended, raw: bytes) -> None:
        self.state = fold(self.state, record)
        if self.state.started is record:
            self.started = raw.decode()
        elif self.state.verdict is record:
            self.verdict = raw.decode()

    def document(self) -> dict[str, Any]:
        """For the column `older`."""
        return {
            "name": self.name,
            "started": self.started,
            "verdict": self.verdict,
            "void": self.state.void_verdicts,
        }


class RunFold:
    """One RequestId with all its deliveries; one row of the history."""

    __slots__ = ("accepted", "changed", "deliveries", "first_seen_ms", "function", "request_id", "row", "shown", "void")

    def __init__(self, *, row: int, request_id: str, function: str, first_seen_ms: int) -> None:
        self.row = row
        self.request_id = request_id
        self.function = function
        #: When it was accepted; before `accepted` has come, when the first record about it was appended.
        self.first_seen_ms = first_seen_ms
        self.accepted: str | None = None
        self.deliveries: dict[str, DeliveryFold] = {}
        self.shown: DeliveryFold | None = None
        #: Void verdicts found since it was loaded.
        self.void = 0
        self.changed = False

    def restore(self, accepted: str | None, shown: DeliveryFold | None, older: str | None) -> None:
        self.accepted = accepted
        for each in orjson.loads(older or b"[]"):
            self.deliveries[each["name"]] = DeliveryFold(each["name"], each["started"], each["verdict"], each["void"])
        if shown is not None:
            self.deliveries[shown.name] = self.shown = shown

    def apply(self, record: LedgerRecord, raw: bytes) -> None:
        self.changed = True
        if isinstance(record, Accepted):
            if self.accepted is None:
                self.accepted = raw.decode()
                self.first_seen_ms = record.accepted_at_ms
            return
        delivery = self.meet(NO_DELIVERY if record.delivery is None else str(record.delivery))
        before = delivery.state.void_verdicts
        delivery.apply(record, raw)
        self.void += delivery.state.void_verdicts - before

    def meet(self, name: str) -> DeliveryFold:
        """The delivery of this name, also one that was never heard of."""
        known = self.deliveries.get(name)
        if known is None:
            known = self.deliveries[name] = DeliveryFold(name)
            self.changed = True
            if self.shown is None or _is_newer(name, self.shown.name):
                self.shown = known
        return known

    @property
    def status(self) -> Status:
        return Status.QUEUED if self.shown is None else self.shown.status

    @property
    def ended_at_ms(self) -> int | None:
        verdict = self.shown and self.shown.state.verdict
        return verdict.ended_at_ms if verdict else None

    def older(self) -> bytes | None:
        others = [each.document() for each in self.deliveries.values() if each is not self.shown]
        return orjson.dumps(others) if others else None


def _is_newer(name: str, shown: str) -> bool:
    """Within one queue the offset decides; otherwise what the ledger names later is newer."""
    if not name or not shown:
        return True
    one, other = Delivery.parse(name), Delivery.parse(shown)
    return one.topic != other.topic or one.offset > other.offset


def run_document(row: Mapping[str, Any]) -> RunDocument:
    """row: request_id, function, status, deliveries and the raw records accepted, started, verdict (JSON or None)."""
    accepted = orjson.loads(row["accepted"] or b"{}")
    document = queued_document(
        request_id=row["request_id"],
        function=row["function"],
        version=accepted.get("version"),
        trigger=accepted.get("trigger"),
        source=accepted.get("source"),
        subject=accepted.get("subject"),
        accepted_at_ms=accepted.get("accepted_at_ms"),
    )
    document["status"] = row["status"]
    if row["started"]:
        apply_started(document, orjson.loads(row["started"]))
    if row["verdict"]:
        apply_verdict(document, orjson.loads(row["verdict"]))
    if row["deliveries"] > 1:
        document["deliveries"] = row["deliveries"]
    return document
