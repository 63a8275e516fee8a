"""An executor that does nothing but hold a pool with one run.

`tiny_executor.py DATA_DIR LOCK_FILE PET_LIMIT_SEC [CONTAINMENT HANDLER DATA]`: prints its guard's pid when the
handler has said a line.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from pathlib import Path

from processor.core.clock import SystemClock
from processor.executor.abstract import FunctionCode, LogLines, RunInput
from processor.executor.containment import Containment
from processor.executor.options import PoolOptions
from processor.executor.pool import InstancePool

FAMILY = ("auto", "workloads:leaves_a_family", '{"then": "hang"}')
SAID = ("family founded", "done")


def main(data_dir: Path, lock_file: Path, pet_limit_sec: float, containment: str, handler: str, data: str) -> None:
    lock_fd = os.open(lock_file, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock_fd, fcntl.LOCK_EX)
    options = PoolOptions(
        data_dir=data_dir, pet_limit_sec=pet_limit_sec, containment=Containment(containment), lock_fd=lock_fd
    )
    pool = InstancePool(options=options, clock=SystemClock())
    pool.start()
    functions = Path(__file__).parents[1] / "functions"
    code = FunctionCode(name="f", version="1", handler=handler, code_dir=functions, timeout_sec=1000)
    event = {"specversion": "1.0", "id": "1", "source": "/t", "type": "t", "data": json.loads(data)}
    pool.start_run(code, RunInput("r", "q/0/1", json.dumps(event).encode()), concurrency=1)
    while True:
        for event_seen in pool.poll(0.1):
            if isinstance(event_seen, LogLines) and any(line[4] in SAID for line in event_seen.lines):
                sys.stdout.write(f"{pool.guard_pid}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), *(sys.argv[4:] or FAMILY))
