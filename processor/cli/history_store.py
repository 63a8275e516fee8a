"""From settings to the history."""

from __future__ import annotations

from processor.cli.errors import CommandFailed, Exit
from processor.cli.settings import POSTGRES, Settings
from processor.recorder.store import HistoryStore


class PostgresNotInstalled(CommandFailed):
    """The history is in PostgreSQL, and what Headrace needs for that is not installed."""

    def __init__(self, missing: ImportError) -> None:
        super().__init__(
            f"a history in PostgreSQL needs a package that is not installed: {missing.name}",
            remedy="Install it: pip install 'headrace[postgres]'.",
            code=Exit.USAGE,
        )


def make_history(settings: Settings) -> HistoryStore:
    """Connects to nothing yet. Raises HistoryAddressInvalid, PostgresNotInstalled."""
    wanted = settings.history
    days = {"log_days": wanted.log_days, "run_days": wanted.run_days}
    if not wanted.url.startswith(POSTGRES):
        from processor.recorder.sqlite import SqliteHistoryStore

        return SqliteHistoryStore(settings.history_path, **days)
    try:
        from processor.recorder.postgres import PostgresHistoryStore
    except ImportError as error:
        raise PostgresNotInstalled(error) from error
    return PostgresHistoryStore(wanted.url, **days)
