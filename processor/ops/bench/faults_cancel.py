"""`python -m processor.ops.bench.faults_cancel`: from a cancel without grace to the end of it. Adds to
.bench/latest.json.

Each value is the time between a clock read right before the request and the later one of two: the verdict is on the
log (by the log's clock), and no process of the run's family is left. One machine, one wall clock.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from processor.core.errors import HeadraceError
from processor.ops.bench.fault_rig import (
    Fact,
    Rig,
    embedded_ledger,
    embedded_rig,
    ends,
    kafka_rig,
    start_executor,
    until,
)
from processor.ops.bench.figures import Figure, keep, percentile, table
from processor.ops.bench.site import broker

CODE = Path(__file__).parent / "functions"
RESULTS = Path(".bench/latest.json")
FUNCTION = "bench-family"
#: How often it is looked whether a family is gone.
LOOK_SEC = 0.002
GONE_LIMIT_SEC = 30.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m processor.ops.bench.faults_cancel", description=__doc__)
    parser.add_argument("--transport", choices=("kafka", "embedded"), help="on this one only")
    parser.add_argument("--times", type=int, default=100, help="cancels")
    options = parser.parse_args(arguments)
    figures: list[Figure] = []
    if options.transport != "kafka":
        figures += cancel_embedded(options.times)
    if options.transport != "embedded":
        with broker() as brokers:
            figures += cancel_on_kafka(brokers, options.times)
    keep(figures, RESULTS)
    print(table(figures))
    return 0


def cancel_on_kafka(brokers: str, times: int) -> list[Figure]:
    with kafka_rig(brokers) as (rig, ledger):
        start_executor(rig.site, "executor")
        cancelled = _cancel(rig, times)
        until(lambda: ends(ledger.facts()).keys() >= cancelled.keys(), "a cancelled run has no verdict")
        return _figures("Kafka", cancelled, ledger.facts())


def cancel_embedded(times: int) -> list[Figure]:
    with embedded_rig() as rig:
        cancelled = _cancel(rig, times)
        rig.site.stop()
        return _figures("embedded", cancelled, embedded_ledger(rig.site))


def _cancel(rig: Rig, times: int) -> dict[str, tuple[float, float]]:
    """RequestId -> when it was asked for, and when its family was gone (Unix seconds). One after the other."""
    families = rig.site.folder / "families"
    document = {"handler": "family:family", "code": str(CODE), "concurrency": 2, "env": {"FAMILIES": str(families)}}
    status, answer = rig.site.request("PUT", f"/v1/functions/{FUNCTION}", orjson.dumps(document))
    if status not in (200, 201):
        raise HeadraceError(f"{FUNCTION} was not deployed: {status} {answer}")
    cancelled = {}
    for _ in range(times):
        run = rig.site.invoke(FUNCTION, {})
        pids = _founded(families, run)
        asked_at = time.time()
        status, answer = rig.site.request("POST", f"/v1/runs/{run}/cancel", b"{}")
        if status != 202:
            raise HeadraceError(f"it was not cancelled: {status} {answer}")
        cancelled[run] = (asked_at, _gone_at(pids))
    return cancelled


def _founded(file: Path, run: str) -> list[int]:
    until(lambda: run in _families(file), "a family was not founded")
    return _families(file)[run]


def _families(file: Path) -> dict[str, list[int]]:
    lines = file.read_text().splitlines() if file.exists() else []
    return {run: [int(pid) for pid in pids] for run, *pids in (line.split(" ") for line in lines)}


def _gone_at(pids: Sequence[int]) -> float:
    give_up_at = time.monotonic() + GONE_LIMIT_SEC
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > give_up_at:
            raise HeadraceError(f"of {pids} somebody has survived")
        time.sleep(LOOK_SEC)
    return time.time()


def _figures(kind: str, cancelled: dict[str, tuple[float, float]], facts: list[Fact]) -> list[Figure]:
    verdicts = ends(facts)
    waits = [max(verdicts[run], gone_at) - asked_at for run, (asked_at, gone_at) in cancelled.items()]
    name = f"cancel without grace -> tree gone and verdict written, {kind}"
    return [
        Figure(name=f"{name}, p50", value=percentile(waits, 0.5), unit="s", target=None, better="lower"),
        Figure(name=f"{name}, p99", value=percentile(waits, 0.99), unit="s", target=1, better="lower"),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
