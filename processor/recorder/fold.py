"""How ledger records become the row of a run: the ledger's own fold per delivery, and which delivery is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from processor.core.ledger import Accepted, DeliveryState, Ended, LedgerRecord, Started, decode, fold
from processor.core.progress import Progress
from processor.core.run import Delivery, Status
from processor.recorder.document import RunDocument, apply_started, apply_verdict, progress_document, queued_document
from processor.recorder.tallies import Fact

#: Stands for "no delivery": an event that got its verdict without ever reaching a queue.
NO_DELIVERY = ""


class DeliveryFold:
    """One delivery: its state, and the two ledger records that made it, as the log has them."""

    __slots__ = ("_state", "_void", "name", "started", "verdict")

    def __init__(self, name: str, started: str | None = None, verdict: str | None = None, void: int = 0) -> None:
        self.name = name
        self.started = started
        self.verdict = verdict
        self._void = void
        self._state: DeliveryState | None = None

    @property
    def state(self) -> DeliveryState:
        """Read from the records when it is first asked for: most deliveries are loaded only for their lines."""
        if self._state is None:
            first, last = self.started and decode(self.started.encode()), self.verdict and decode(self.verdict.encode())
            assert not isinstance(first, Accepted | Ended)
            assert not isinstance(last, Accepted | Started)
            self._state = DeliveryState(started=first or None, verdict=last or None, void_verdicts=self._void)
        return self._state

    @property
    def status(self) -> Status:
        """A delivery is heard of only after its claim: running, even if `started` itself has not come (yet)."""
        verdict = self.verdict and self.state.verdict
        return verdict.status if verdict else Status.RUNNING

    def apply(self, record: Started | Ended, raw: bytes) -> None:
        self._state = state = fold(self.state, record)
        if state.started is record:
            self.started = raw.decode()
        elif state.verdict is record:
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

    __slots__ = (
        "accepted",
        "changed",
        "deliveries",
        "facts_stored",
        "first_seen_ms",
        "function",
        "had_waited",
        "progress",
        "request_id",
        "row",
        "shown",
        "stored_ms",
        "void",
    )

    def __init__(self, *, row: int, request_id: str, function: str, first_seen_ms: int) -> None:
        self.row = row
        self.request_id = request_id
        self.function = function
        #: When it was accepted; before `accepted` has come, when the first record about it was appended.
        self.first_seen_ms = first_seen_ms
        self.accepted: str | None = None
        self.deliveries: dict[str, DeliveryFold] = {}
        self.shown: DeliveryFold | None = None
        #: What the shown delivery said last, as it is stored.
        self.progress: str | None = None
        #: Void verdicts found since it was loaded.
        self.void = 0
        self.changed = False
        #: What the stored row counts for; nothing while there is none.
        self.facts_stored: list[Fact] = []
        #: How long it waited was counted before.
        self.had_waited = False
        #: first_seen_ms of the stored row; None while there is none.
        self.stored_ms: int | None = None

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
                self.progress = None
        return known

    def say(self, progress: Progress) -> None:
        """Of an older delivery nobody wants to know it."""
        if self.meet(progress.delivery) is self.shown:
            self.progress = orjson.dumps([progress.fraction, progress.message, progress.at_ms]).decode()
            self.changed = True

    @property
    def status(self) -> Status:
        return Status.QUEUED if self.shown is None else self.shown.status

    @property
    def ended_at_ms(self) -> int | None:
        verdict = self.shown and self.shown.state.verdict
        return verdict.ended_at_ms if verdict else None

    @property
    def waited_ms(self) -> int | None:
        """Of a second delivery it is not known: only the first has its time of acceptance."""
        started = None if len(self.deliveries) != 1 or self.shown is None else self.shown.state.started
        return None if started is None or self.accepted is None else started.started_at_ms - self.first_seen_ms

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
    """row: request_id, function, status, deliveries and the raw records accepted, started, verdict, progress (JSON or
    None).
    """
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
    if row["progress"]:
        document["progress"] = progress_document(*orjson.loads(row["progress"]))
    if row["deliveries"] > 1:
        document["deliveries"] = row["deliveries"]
    return document
