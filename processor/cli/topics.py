from __future__ import annotations

import sys
import threading

from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json

_CREATE_SEC = 60.0


def init(*, asking: Asking = ASKING) -> int:
    """Create the topics of this installation that are missing. May be repeated; changes no existing topic."""
    from processor.cli.connect import await_broker, make_transport
    from processor.core.topics import TOPICS

    settings = settings_of(asking).settings
    with make_transport(settings) as transport:
        if settings.transport == "kafka":
            await_broker(transport, settings, lambda line: print(line, file=sys.stderr), threading.Event())
        created = transport.admin().create_topics(TOPICS, _CREATE_SEC)
    names = [each.name for each in TOPICS]
    if asking.as_json:
        print_json({"created": created, "topics": names})
    else:
        for name in names:
            print(f"{name:<10} {'created' if name in created else 'exists'}")
    return Exit.OK
