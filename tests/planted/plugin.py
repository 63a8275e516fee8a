"""pytest -p tests.planted.plugin --plant BUG: the tests run against a product with that bug."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plant", metavar="BUG", help="one of tests/planted/catalogue.py")


def pytest_configure(config: pytest.Config) -> None:
    name = config.getoption("--plant")
    if name:
        from tests.planted.catalogue import plant  # the product is loaded only where it is planted

        plant(name)
