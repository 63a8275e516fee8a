from __future__ import annotations

from processor.transport.kafka import settings
from tests.planted.patching import replace

_ON = ("enable.auto.commit", "enable.auto.offset.store")


def auto_commit_on() -> None:
    table = tuple(each._replace(value=True) if each.name in _ON else each for each in settings.TABLE)
    replace(settings, "TABLE", table)
