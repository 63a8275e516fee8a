from __future__ import annotations

import pytest

from processor.cli.settings import GatewaySettings, Settings, TriggersSettings


@pytest.mark.parametrize(
    ("gateway", "given", "port"),
    [(8787, None, 8788), (9000, None, 9001), (0, None, 0), (65_535, None, 0), (8787, 0, 0), (8787, 8080, 8080)],
)
def test_the_listener_has_the_port_after_the_gateways_unless_it_is_given_one(
    gateway: int, given: int | None, port: int
) -> None:
    settings = Settings(gateway=GatewaySettings(port=gateway), triggers=TriggersSettings(port=given))
    assert settings.listener_port == port
