from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_table

if TYPE_CHECKING:
    from processor.ops.audit.invariants import Report


def audit(
    *,
    acknowledgements: Sequence[Path] = (),
    journal: Sequence[Path] = (),
    drained: bool = False,
    history: bool = True,
    asking: Asking = ASKING,
) -> int:
    """Read the log from its beginning and count what keeps or breaks each promise. Changes nothing.

    Exit code 1 when one is broken. On the embedded transport, stop `headrace dev` first: one process at a time has
    the log.

    Parameters
    ----------
    acknowledgements
        Files in which a client kept the answers it got: one JSON object per line, with key, request_id and outcome
        (ok, unknown or refused).
    journal
        Files in which handlers kept their starts and ends: one line each, REQUEST_ID PID start|end.
    drained
        Nothing is sent any more and everything had its time: nothing may be open, and the history is complete.
    history
        Compare the history database with the ledger.
    """
    from processor.cli.connect import make_transport
    from processor.cli.history_store import make_history
    from processor.core.clock import SystemClock
    from processor.ops.audit.evidence import read_evidence
    from processor.ops.audit.facts import read_facts
    from processor.ops.audit.invariants import examine

    settings = settings_of(asking).settings
    evidence = read_evidence(acknowledgements, journal)
    with make_transport(settings) as transport:
        facts = read_facts(transport, SystemClock())
    counts = None
    if history:
        store = make_history(settings)
        try:
            counts = store.run_counts()
        finally:
            store.close()
    report = examine(facts, evidence, counts, drained=drained)
    if asking.as_json:
        print_json(report.document())
    else:
        _print(report)
    return Exit.OK if report.ok else Exit.FAILED


def _print(report: Report) -> None:
    rows = [(each.id, each.promise, str(each.checked), str(each.broken)) for each in report.invariants]
    print_table(("id", "promise", "checked", "broken"), rows)
    for each in report.invariants:
        for example in each.examples:
            print(f"{each.id} broken: {example}")
    print("also seen: " + ", ".join(f"{name} {count}" for name, count in report.sometimes.items() if count))
    print("ok" if report.ok else "BROKEN")
