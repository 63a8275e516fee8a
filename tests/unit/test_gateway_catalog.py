from __future__ import annotations

import pytest

from processor.gateway.catalog import Catalog
from processor.http.problems import Refused
from tests.unit.scripted_transport import ScriptedTransport


def test_a_gateway_that_has_not_read_the_functions_says_so_and_not_that_there_are_none() -> None:
    catalog = Catalog(ScriptedTransport())
    with pytest.raises(Refused) as caught:
        catalog.find("deployed-long-ago")
    assert (caught.value.problem.status, caught.value.problem.name) == (503, "starting")
    catalog.caught_up.set()
    assert catalog.find("never-deployed") is None
