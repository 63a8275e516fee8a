from __future__ import annotations

import tempfile
import time
from pathlib import Path

from processor.ops.bench.figures import Figure
from processor.ops.bench.site import embedded
from processor.ops.processes import Role

#: Everything that start-up left to do is done.
IDLE_SEC = 3.0


def startup() -> list[Figure]:
    """`headrace dev` with the sample functions: from the command to `ready dev`, and what it holds when idle."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["dev", "--functions", "examples/functions.yaml", "--data", folder, "--port", "0", "--no-open"]
        if not Path("examples/functions.yaml").exists():
            return _bench_functions()
        with Role(arguments, {}, Path(folder) / "dev.log") as role:
            role.wait_for("ready dev", 30)
            return _figures(role)


def _bench_functions() -> list[Figure]:
    with embedded() as site:
        return _figures(site.roles["dev"])


def _figures(role: Role) -> list[Figure]:
    ready_sec = role.age_sec
    time.sleep(IDLE_SEC)
    return [
        Figure(name="headrace dev, command to ready", value=ready_sec, unit="s", target=2, better="lower"),
        Figure(
            name="headrace dev, resident idle, all roles",
            value=role.resident_mb(),
            unit="MB",
            target=200,
            better="lower",
        ),
    ]
