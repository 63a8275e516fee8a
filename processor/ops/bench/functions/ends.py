"""Ends of a run with the time they came at, in a module that takes long to import."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib
import os
import signal
import sqlite3
import ssl
import time
import xml.dom.minidom
from typing import Any

with contextlib.suppress(ImportError):
    importlib.import_module("boto3")  # the usual heavy import, where it is installed

IMPORTED = (asyncio, sqlite3, ssl, xml.dom.minidom)


def fails_or_begins(event: str, context: Any) -> int:
    if event == "fail":
        raise ValueError(time.time_ns())
    return time.time_ns()


def dies(event: dict[str, str], context: Any) -> None:
    print(time.time_ns(), flush=True)
    if event["how"] == "exit":
        os._exit(1)
    if event["how"] == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    ctypes.string_at(0)
