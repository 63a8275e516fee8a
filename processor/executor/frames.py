from __future__ import annotations

import struct

import orjson

from processor.core.run import RunError
from processor.executor.abstract import FunctionCode, RunInput
from processor.executor.runtime import frames
from processor.executor.runtime.progress import MAX_MESSAGE_CHARS


def run_frame(code: FunctionCode, run: RunInput, ends_at_sec: float) -> bytes:
    """The event travels as it came: parsing it is the instance's work."""
    head = {
        "id": run.request_id,
        "format": run.event_format,
        "timeout": code.timeout_sec,
        "ends": ends_at_sec,
        "meta": run.meta,
    }
    return frames.encode(frames.RUN, orjson.dumps(head) + b"\n" + run.payload)


def read_failure(body: bytes) -> RunError:
    """Raises BadFrame."""
    try:
        document = orjson.loads(body)
        return RunError(type=str(document["type"]), message=str(document["message"]), stack=str(document["stack"]))
    except (ValueError, KeyError, TypeError) as error:
        raise frames.BadFrame(f"a failure that is none: {error}") from error


def read_result(body: bytes) -> tuple[float, bytes | None]:
    """(peak memory in MiB, JSON result; None for null). Raises BadFrame.

    It is parsed although nobody here looks at it: it becomes part of a ledger record, which one bad byte, written by
    stray code of the function to a descriptor that is not its own, would make unreadable.
    """
    try:
        (peak_kib,) = frames.PEAK.unpack_from(body)
        result = body[frames.PEAK.size :]
        value = orjson.loads(result)
    except (ValueError, struct.error) as error:
        raise frames.BadFrame(f"a result that is none: {error}") from error
    return peak_kib / 1024, None if value is None else result


def read_progress(body: bytes) -> tuple[float, str]:
    """(fraction from 0 to 1, one line). Raises BadFrame."""
    try:
        fraction, text = orjson.loads(body)
        if not 0 <= float(fraction) <= 1 or len(text) > MAX_MESSAGE_CHARS:
            raise ValueError("not what an instance sends")
        return float(fraction), str(text)
    except (ValueError, TypeError) as error:
        raise frames.BadFrame(f"progress that is none: {error}") from error


def read_log(body: bytes) -> tuple[str, int, str]:
    """(level, Unix milliseconds, text). Raises BadFrame."""
    try:
        level, at_ms, text = orjson.loads(body)
        return str(level), int(at_ms), str(text)
    except (ValueError, TypeError) as error:
        raise frames.BadFrame(f"a log record that is none: {error}") from error
