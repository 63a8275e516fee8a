"""What recording costs those who accept: requests at 500/s without a recorder and with one, in turn."""

from __future__ import annotations

from statistics import median

from processor.ops.bench.figures import Figure, percentile
from processor.ops.bench.latency import accept_waits_ms
from processor.ops.bench.site import Site, on_kafka, start_roles

#: The machine is not the same from minute to minute, so both are measured again and again.
_ROUNDS = 4
_ROLES = ("recorder", "dispatcher", "executor", "gateway")


def accept_beside_recorder(brokers: str) -> list[Figure]:
    with_it: list[float] = []
    without: list[float] = []
    with on_kafka(brokers, _ROLES) as site:
        site.deploy()
        accept_waits_ms(site)
        for _ in range(_ROUNDS):
            site.roles["recorder"].stop()
            without.append(percentile(accept_waits_ms(site), 0.5))
            start_roles(site, "recorder")
            _await_recorder(site)
            with_it.append(percentile(accept_waits_ms(site), 0.5))
    name = "HTTP accept at 500/s, Kafka, p50"
    return [
        Figure(name=f"{name}, without recorder", value=median(without), unit="ms", target=None, better="lower"),
        Figure(name=f"{name}, with recorder", value=median(with_it), unit="ms", target=None, better="lower"),
        Figure(
            name=f"{name}, with / without recorder",
            value=median(with_it) / median(without),
            unit="x",
            target=1.1,
            better="lower",
        ),
    ]


def _await_recorder(site: Site) -> None:
    """It has recorded what was accepted meanwhile: it reads its topics in order."""
    run = site.invoke("bench-noop", {})
    while site.request("GET", f"/v1/runs/{run}?wait=60")[1].get("ended_at") is None:
        pass
