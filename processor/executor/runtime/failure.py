"""An exception as {type, message, stack}: the user's frames only."""

from __future__ import annotations

import os
import traceback

import orjson

from .handler import HandlerNotFound

#: Of each text; a verdict has to fit into a record of the log.
MAX_CHARS = 24_000
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_INTERNAL = (_HERE, "<frozen importlib", os.path.join(os.path.dirname(os.__file__), "importlib") + os.sep)


def describe(error: BaseException) -> bytes:
    if isinstance(error, HandlerNotFound):
        return encode("Runtime.HandlerNotFound", str(error))
    return encode(type(error).__name__, _message(error), _stack(error))


def encode(kind: str, message: str, stack: str = "") -> bytes:
    return orjson.dumps({"type": kind, "message": _bounded(message), "stack": _bounded(stack)})


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:
        return f"<str() of it raised {type(second).__name__}>"


def _stack(error: BaseException) -> str:
    told = traceback.TracebackException.from_exception(error, compact=True)
    _drop_internal(told, set())
    return "".join(told.format())


def _drop_internal(told: traceback.TracebackException, seen: set[int]) -> None:
    if id(told) in seen:
        return
    seen.add(id(told))
    told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(_INTERNAL)]
    for other in (told.__cause__, told.__context__):
        if other is not None:
            _drop_internal(other, seen)


def _bounded(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()  # lone surrogates are no JSON
    if len(text) <= MAX_CHARS:
        return text
    half = MAX_CHARS // 2
    return f"{text[:half]}\n[... {len(text) - MAX_CHARS} characters cut ...]\n{text[-half:]}"
