from __future__ import annotations

import time
from contextlib import closing
from typing import Annotated

from cyclopts import Parameter

from processor.cli.errors import Exit
from processor.cli.history_store import make_history
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json

_DAYS = Parameter(help="Whole days besides today, at least 3; default: from the settings.")


def migrate(*, asking: Asking = ASKING) -> int:
    """Create the tables of the history, or bring them up to this version. May be repeated, and while a recorder runs.

    The recorder does the same when it starts. Run it before, where the recorder's user may not change tables. Exit
    code 1 when the history is of a newer version: it is left as it is.
    """
    with closing(make_history(settings_of(asking).settings)) as store:
        before = store.schema_version()
        store.open_for_writing()
        after = store.schema_version()
        where = store.place
    if asking.as_json:
        print_json({"history": where, "before": before, "after": after})
    else:
        print(f"{where}: " + (f"schema {before} -> {after}" if before != after else f"schema {after}, as it should be"))
    return Exit.OK


def prune(
    *,
    log_days: Annotated[int | None, _DAYS] = None,
    run_days: Annotated[int | None, _DAYS] = None,
    asking: Asking = ASKING,
) -> int:
    """Delete what is older than history.log_days and history.run_days. Runs that have not ended stay.

    The recorder does the same every ten minutes. SQLite uses the space again; its file does not shrink.
    """
    settings = settings_of(
        asking, history__log_days=("--log-days", log_days), history__run_days=("--run-days", run_days)
    ).settings
    with closing(make_history(settings)) as store:
        store.open_for_writing()
        while store.expire(int(time.time() * 1000)):
            pass
        where = store.place
    kept = {"log_days": settings.history.log_days, "run_days": settings.history.run_days}
    if asking.as_json:
        print_json({"history": where, **kept})
    else:
        print(f"{where}: log lines of the last {kept['log_days']} days and runs of {kept['run_days']} are left")
    return Exit.OK
