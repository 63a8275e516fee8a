"""Which object stores the tests use, and what happens without one. As tests/broker.py does it for Kafka."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from processor.ops.object_stores import CACHE, Server, StoreMissing, versitygw

ROOT = Path(__file__).resolve().parents[1]
#: The first test with VersityGW may have to build it.
FIRST_TEST_LIMIT_SEC = 660


def versitygw_or_skip(folder: Path, *, brokers: str = "", topic: str = "", webhook: str = "") -> Server:
    """CI must not pass by skipping; a contributor without Go may still run the rest."""
    try:
        return versitygw(folder, brokers=brokers, topic=topic, webhook=webhook, cache=ROOT / CACHE)
    except StoreMissing as why:
        unavailable(why)


def unavailable(why: StoreMissing) -> NoReturn:
    text = f"no VersityGW for this test: {why}. {why.remedy}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
