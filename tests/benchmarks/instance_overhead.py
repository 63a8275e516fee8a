"""What one no-op run with one printed line costs the executor, and how many a pool of two instances does a second.

Not a test: `python tests/benchmarks/instance_overhead.py [RUNS]`
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from processor.core.clock import SystemClock
from processor.executor.abstract import FunctionCode, RunEnded, RunInput
from processor.executor.options import PoolOptions
from processor.executor.pool import InstancePool

FUNCTIONS = Path(__file__).parents[1] / "functions"
PAYLOAD = b'{"specversion":"1.0","id":"1","source":"/bench","type":"t","data":{"n":1}}'
#: Handed over and not ended: what claim-ahead keeps in the pool.
AHEAD = 64


def measure(pool: InstancePool, code: FunctionCode, runs: int, instances: int) -> tuple[float, float]:
    """(wall seconds, parent's CPU seconds)"""
    given = ended = 0
    began, cpu = time.perf_counter(), time.thread_time()
    while ended < runs:
        while given < runs and given - ended < AHEAD:
            pool.start_run(code, RunInput(f"r{given}", f"q/0/{given}", PAYLOAD), concurrency=instances)
            given += 1
        ended += sum(type(event) is RunEnded for event in pool.poll(1.0))
    return time.perf_counter() - began, time.thread_time() - cpu


def measure_replacement(pool: InstancePool, runs: int) -> float:
    """Mean milliseconds from one exceptional end to the next, on one instance: run, tree killed, new one forked."""
    code = FunctionCode(name="raises", version="1", handler="workloads:raises", code_dir=FUNCTIONS, timeout_sec=60)
    measure(pool, code, 2, 1)
    return measure(pool, code, runs, 1)[0] / runs * 1e3


def main(runs: int) -> None:
    code = FunctionCode(name="noop", version="1", handler="workloads:say", code_dir=FUNCTIONS, timeout_sec=60)
    for instances in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            options = PoolOptions(data_dir=Path(folder), slots=instances)
            pool = InstancePool(options=options, clock=SystemClock())
            pool.start()
            measure(pool, code, 200, instances)
            wall_sec, cpu_sec = measure(pool, code, runs, instances)
            replaced_ms = measure_replacement(pool, 50)
            pool.join(10)
        rate, cost_us = runs / wall_sec, cpu_sec / runs * 1e6
        sys.stdout.write(f"{instances} instances: {rate:,.0f} runs/s, {cost_us:.1f} us of the executor's CPU per run\n")
        sys.stdout.write(f"   run, exceptional end, instance replaced: {replaced_ms:.1f} ms\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
