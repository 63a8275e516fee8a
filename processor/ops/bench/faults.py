"""`python -m processor.ops.bench.faults`: how long it takes until a fault is over. Adds to .bench/latest.json.

Each value is the time between a clock read right before the kill (of a child: in the handler, right before it dies) and
the time at which the log took the record that ends it. One machine, one wall clock.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from processor.ops.bench import fault_parts, faults_brokers, faults_rolling, faults_takeover
from processor.ops.bench.figures import Figure, keep, table
from processor.ops.bench.site import broker

PARTS: dict[str, Callable[[str, int], list[Figure]]] = {
    "child": fault_parts.child_on_kafka,
    "restart": fault_parts.executor_restarted,
    "host": fault_parts.host_dead,
    "executor": fault_parts.executor_killed,
    "dispatcher": fault_parts.dispatcher_killed,
    "takeover": faults_takeover.taken_over,
    "rolling": faults_rolling.rolled,
}
#: With three brokers of their own, which are killed.
BROKER_PARTS: dict[str, Callable[[], list[Figure]]] = {"brokers": faults_brokers.brokers_away}
EMBEDDED_PARTS: dict[str, Callable[[int], list[Figure]]] = {
    "child": fault_parts.child_embedded,
    "restart": fault_parts.process_restarted,
}
RESULTS = Path(".bench/latest.json")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m processor.ops.bench.faults", description=__doc__)
    parser.add_argument(
        "--only", choices=[*PARTS, *BROKER_PARTS], action="append", help="this part only; may be given again"
    )
    parser.add_argument("--transport", choices=("kafka", "embedded"), help="on this one only")
    parser.add_argument("--times", type=int, default=5, help="kills of each kind; of a child ten times as many")
    options = parser.parse_args(arguments)
    parts = options.only or [*PARTS, *BROKER_PARTS]
    figures: list[Figure] = []
    if options.transport != "kafka":
        for part in (each for each in parts if each in EMBEDDED_PARTS):
            figures += _measured(f"{part}, embedded", partial(EMBEDDED_PARTS[part], options.times))
    if options.transport != "embedded":
        figures += _on_kafka(parts, options.times)
    keep(figures, RESULTS)
    print(table(figures))
    return 0


def _on_kafka(parts: Sequence[str], times: int) -> list[Figure]:
    figures: list[Figure] = []
    if any(part in PARTS for part in parts):
        with broker() as brokers:
            for part in (each for each in parts if each in PARTS):
                figures += _measured(f"{part}, Kafka", partial(PARTS[part], brokers, times))
    for part in (each for each in parts if each in BROKER_PARTS):
        figures += _measured(f"{part}, Kafka", BROKER_PARTS[part])
    return figures


def _measured(name: str, measure: Callable[[], list[Figure]]) -> list[Figure]:
    before = os.getloadavg()[0]
    figures = measure()
    say(f"{name}: load average {before:.1f} before, {os.getloadavg()[0]:.1f} after")
    return figures


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
