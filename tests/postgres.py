"""Which PostgreSQL the tests use: the one given, else one of our own; and what happens without any."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import quote

import psycopg
import pytest

from deploy.kafka.errors import Unavailable
from processor.ops.local_postgres import NoPostgres, local_postgres

GIVEN = "HEADRACE_TEST_POSTGRES"
_CALL_SEC = 30


def unavailable(why: Unavailable) -> NoReturn:
    """CI must not pass by skipping; a contributor without PostgreSQL may still run the rest."""
    # The first line of it speaks of Kafka: the desk knows no other reason.
    text = f"no PostgreSQL for this test: {str(why).splitlines()[-1]}\nOr name a running one: {GIVEN}=postgresql://..."
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@contextlib.contextmanager
def any_postgres() -> Iterator[str]:
    """Yields the address of a database that the tests may write to; raises Unavailable when there is no way to one."""
    given = os.environ.get(GIVEN)
    if given:
        yield given
    else:
        with contextlib.ExitStack() as stack:
            try:
                server = stack.enter_context(local_postgres())
            except NoPostgres as why:
                raise Unavailable(f"{why} {why.remedy}") from why
            yield server.url


@contextlib.contextmanager
def own_schema(url: str) -> Iterator[str]:
    """Yields the address with a schema in it that nobody else uses."""
    name = f"t{uuid.uuid4().hex[:16]}"
    _execute(url, f"CREATE SCHEMA {name}")
    try:
        options = quote(f"-csearch_path={name}", safe="")
        yield f"{url}{'&' if '?' in url else '?'}options={options}"
    finally:
        _execute(url, f"DROP SCHEMA {name} CASCADE")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True, connect_timeout=_CALL_SEC) as connection:
        connection.execute(statement.encode())
