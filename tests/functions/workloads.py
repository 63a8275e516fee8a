"""Handlers with one behaviour each, for the tests of instances."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

print("workloads imported")
RUNS = {"here": 0}


def say(event: Any, context: Any) -> None:
    print("hello")


def echo(event: Any, context: Any) -> Any:
    return event


def count(event: Any, context: Any) -> dict[str, Any]:
    """Warm or not: the process and its temporary folder, and how many runs both have seen."""
    RUNS["here"] += 1
    return {"pid": os.getpid(), "runs": RUNS["here"], "folder": tempfile.gettempdir()}


def surroundings(event: Any, context: Any) -> dict[str, Any]:
    open_fds = {}
    for name in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{name}"):
            open_fds[name] = os.readlink(f"/proc/self/fd/{name}")
    return {
        "env": dict(os.environ),
        "fds": open_fds,
        "cwd": os.getcwd(),
        "mode": os.stat(os.environ["TMPDIR"]).st_mode & 0o777,
        "status": Path("/proc/self/status").read_text(),
        "session": os.getsid(0) == os.getpid(),
        "modules": [name for name in sys.modules if name.startswith(("processor", "confluent"))],
    }


def raises(event: Any, context: Any) -> NoReturn:
    try:
        raise KeyError("inner")
    except KeyError as inner:
        raise ValueError("Grüße") from inner


def returns_set(event: Any, context: Any) -> Any:
    return {1, 2}


def returns_much(event: Any, context: Any) -> str:
    return "x" * (7 * 1024 * 1024)


def returns_much_enough(event: Any, context: Any) -> str:
    return "x" * (6 * 1024 * 1024)


def exits(event: Any, context: Any) -> NoReturn:
    print("before the exit")
    sys.exit(event["status"])


def exits_hard(event: Any, context: Any) -> NoReturn:
    print("before the exit")
    os._exit(event["status"])


def crashes(event: Any, context: Any) -> None:
    ctypes.string_at(0)


def kills_itself(event: Any, context: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(event: Any, context: Any) -> None:
    print("begun", flush=True)
    signal.pause()


def hangs_and_tidies(event: Any, context: Any) -> str:
    def tidy(*_: object) -> None:
        print("tidied")
        raise TimeoutError

    signal.signal(signal.SIGTERM, tidy)
    print("begun", flush=True)
    with contextlib.suppress(TimeoutError):
        signal.pause()
    return "too late"


def hangs_deaf(event: Any, context: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("begun", flush=True)
    while True:
        time.sleep(60)


def leaves_a_family(event: Any, context: Any) -> None:
    """A child with its own session and orphaned grandchildren, all of them holding standard output, deaf to SIGTERM."""
    script = "trap '' TERM HUP; (setsid sleep 1000 &) ; (setsid sh -c 'sleep 1000 & wait' &) ; sleep 1000"
    subprocess.Popen(["setsid", "sh", "-c", script])
    _daemon()
    print("family founded", flush=True)
    then = event["then"]
    if then == "exit":
        time.sleep(0.2)
        os._exit(4)
    if then == "raise":
        raise ValueError
    if then == "hang":
        signal.pause()


def _daemon() -> None:
    """Forks twice without exec, as daemons do."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    os.wait()


def forks_and_returns_twice(event: Any, context: Any) -> str:
    if os.fork() == 0:
        logging.warning("logged by the child")
        return "child"
    os.wait()
    return "parent"


def prints_lines(event: Any, context: Any) -> None:
    for number in range(event["lines"]):
        print(f"line {number}")


def floods(event: Any, context: Any) -> None:
    chunk = b"x" * 99 + b"\n"
    while True:
        os.write(1, chunk * 600)


def prints_long(event: Any, context: Any) -> None:
    print("é" * (5 * 1024 * 1024 // 2))
    print("after")


def prints_bytes(event: Any, context: Any) -> None:
    sys.stdout.buffer.write(b"caf\xe9 ok\nno end")


def prints_half_a_line(event: Any, context: Any) -> None:
    print("50 %", end="", flush=True)
    signal.pause()


def prints_later(event: Any, context: Any) -> None:
    """A thread that speaks after the run has ended."""

    def speak() -> None:
        time.sleep(0.05)
        print("from the thread")
        logging.warning("from the thread")

    threading.Thread(target=speak, daemon=True).start()
    print("from the run")


def logs(event: Any, context: Any) -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    logging.getLogger("app").info("first\nsecond")
    try:
        raise ValueError("logged")
    except ValueError:
        logging.getLogger("app").exception("went wrong")


def closes_everything(event: Any, context: Any) -> None:
    os.closerange(3, 100)
    time.sleep(60)


def writes_rubbish(event: Any, context: Any) -> None:
    for name in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{name}") and "socket" in os.readlink(f"/proc/self/fd/{name}"):
            os.write(int(name), b"\xff" * 64)
    time.sleep(60)


def closes_standard_output(event: Any, context: Any) -> str:
    os.close(1)
    logging.warning("still here")
    sys.stdout = None
    return "fine"


def uses_memory(event: Any, context: Any) -> None:
    block = b"x" * event["bytes"]
    print(len(block), flush=True)
    signal.pause()


def leaves_files(event: Any, context: Any) -> NoReturn:
    folder = Path(tempfile.mkdtemp())
    for number in range(50):
        (folder / str(number)).write_text("x")
    folder.chmod(0)
    raise ValueError


def remaining(event: Any, context: Any) -> int:
    milliseconds: int = context.get_remaining_time_in_millis()
    return milliseconds


def tells_how_far_it_is(event: Any, context: Any) -> None:
    """event: the steps; the last one is told right before the end."""
    for step in range(event + 1):
        context.progress(step / event, f"step {step}")
    print("done")


def tells_nonsense(event: Any, context: Any) -> str:
    context.progress(7, "x" * 1_000_000)
    try:
        context.progress("half")
    except TypeError as error:
        return str(error)
    return "nothing was said"


def tells_and_exits(event: Any, context: Any) -> None:
    context.progress(0.1)
    context.progress(0.2, "last words")
    sys.exit(3)
