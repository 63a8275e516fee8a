from __future__ import annotations

import os
import signal
from typing import NamedTuple

from processor.core.run import RunError, StatusCode


class Verdict(NamedTuple):
    code: StatusCode
    error: RunError | None = None
    result: bytes | None = None


def raised(error: RunError) -> Verdict:
    return Verdict(StatusCode.HANDLER_RAISED, error)


def not_loadable(error: RunError) -> Verdict:
    return Verdict(StatusCode.HANDLER_NOT_LOADABLE, error)


def timed_out(limit_sec: float) -> Verdict:
    message = f"Task timed out after {limit_sec:.2f} seconds"
    return Verdict(StatusCode.TIME_LIMIT, RunError(type="Sandbox.Timeout", message=message))


def out_of_memory(limit_bytes: int, used_bytes: int) -> Verdict:
    message = f"{used_bytes >> 20} MiB in use, the limit is {limit_bytes >> 20} MiB"
    return Verdict(StatusCode.MEMORY_LIMIT, RunError(type="Runtime.OutOfMemory", message=message))


def too_many_processes(limit: int) -> Verdict:
    message = f"more than {limit} processes at the same time"
    return Verdict(StatusCode.PROCESS_EXITED, RunError(type="Runtime.TooManyProcesses", message=message))


def ended(status: int | None) -> Verdict:
    """Of a run whose instance ended without an answer. status: as of waitpid; None when its zygote died first."""
    if status is None:
        return lost("the instance was lost with its zygote")
    return Verdict(StatusCode.PROCESS_EXITED, exit_error(status))


def not_imported(limit_sec: float) -> Verdict:
    message = f"the module was not imported within {limit_sec:g} s"
    return not_loadable(RunError(type="Runtime.InitTimeout", message=message))


def from_outside(code: StatusCode, message: str) -> Verdict:
    return Verdict(code, RunError(type=_NAMES.get(code, code.name), message=message))


def lost(message: str) -> Verdict:
    return Verdict(StatusCode.INSTANCE_LOST, RunError(type="InstanceLost", message=message))


def exit_error(status: int) -> RunError:
    return RunError(type="Runtime.ExitError", message=describe_status(status))


def describe_status(status: int) -> str:
    if os.WIFEXITED(status):
        return f"exit status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    return f"signal: {(signal.strsignal(number) or str(number)).lower()}"


#: Error types of ends that come from outside.
_NAMES = {StatusCode.CANCELLED: "Cancelled", StatusCode.INSTANCE_LOST: "InstanceLost"}
