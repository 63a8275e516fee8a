"""`make bench`: prints the table and adds it to .bench/latest.json. LIMITS=DIR runs the limit scripts beside it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from processor.ops.bench import latency, startup, throughput
from processor.ops.bench.console import console
from processor.ops.bench.figures import Figure, keep, table
from processor.ops.bench.flow import flow
from processor.ops.bench.folder import folder
from processor.ops.bench.history import history
from processor.ops.bench.history_accept import accept_beside_recorder
from processor.ops.bench.kafka_source import kafka_source
from processor.ops.bench.schedules import schedules
from processor.ops.bench.site import broker, embedded, on_kafka
from processor.ops.bench.storage import storage
from processor.ops.bench.webhook import embedded_webhook, kafka_webhook

PARTS = ("startup", "embedded", "kafka", "triggers", "history", "console")
FIVE_ROLES = ("recorder", "dispatcher", "executor", "gateway", "triggers")
RESULTS = Path(".bench/latest.json")
SOURCE_RECORDS = 100_000
SOURCE_BATCH = 100
OBJECTS = 200
MESSAGES = 5_000


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part only; may be given again")
    parser.add_argument("--runs", type=int, default=20_000, help="runs of a throughput measurement")
    parser.add_argument("--history-runs", type=int, default=1_000_000, help="what the history has when it is read")
    parser.add_argument("--limits", type=Path, help="folder with ceiling.py and start_latency.py")
    options = parser.parse_args(arguments)
    figures: list[Figure] = []
    for part in options.only or PARTS:
        figures += _measure(part, options)
    keep(figures, RESULTS)
    print(table(figures))
    return 0


def _measure(part: str, options: argparse.Namespace) -> list[Figure]:
    say(f"measuring {part} ...")
    if part == "startup":
        return startup.startup()
    if part == "embedded":
        return _embedded(options.runs)
    if part == "kafka":
        return _kafka(options.runs, options.limits)
    if part == "console":
        with embedded() as site:
            return console(site)
    if part == "history":
        return _history(options.history_runs)
    return _triggers()


def _embedded(runs: int) -> list[Figure]:
    figures = throughput.embedded_throughput(runs)
    with embedded() as site:
        figures += latency.accept(site) + latency.first_line(site, None, None)
        figures += latency.deploy(site) + latency.follow(site)
    return figures


def _kafka(runs: int, limits: Path | None) -> list[Figure]:
    with broker() as brokers:
        figures = throughput.kafka_throughput(brokers, runs, limits)
        figures += throughput.kafka_throughput_recorded(brokers, runs)
        with on_kafka(brokers, FIVE_ROLES) as site:
            site.deploy()
            figures += latency.accept(site) + latency.first_line(site, limits, brokers)
            figures += latency.deploy(site) + latency.follow(site)
    return figures


def _history(runs: int) -> list[Figure]:
    figures = history(runs)
    with broker() as brokers:
        return figures + accept_beside_recorder(brokers)


def _triggers() -> list[Figure]:
    figures = folder() + embedded_webhook() + storage(OBJECTS, MESSAGES)
    with embedded() as site:
        figures += schedules(site)
    with broker() as brokers:
        figures += kafka_source(brokers, SOURCE_RECORDS)
        figures += kafka_source(brokers, SOURCE_RECORDS, max_records=SOURCE_BATCH) + kafka_webhook(brokers)
        with on_kafka(brokers, FIVE_ROLES) as site:
            site.deploy()
            figures += schedules(site) + flow(site, brokers)
    return figures


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
