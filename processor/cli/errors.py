from __future__ import annotations

import sys
from enum import IntEnum

from processor.core.errors import HeadraceError


class Exit(IntEnum):
    """What scripts may rely on; `headrace --help` lists the same."""

    OK = 0
    FAILED = 1  # the run did not FINISH, a check refused, a role failed
    USAGE = 2  # bad usage or bad input, also as judged by the gateway (4xx)
    UNREACHABLE = 3  # the gateway, the broker or the history did not answer, or cannot serve now


class CommandFailed(HeadraceError):
    """The command did not succeed."""

    def __init__(self, message: str, *, remedy: str = "", code: Exit = Exit.FAILED) -> None:
        super().__init__(message, remedy=remedy)
        self.code = code


def exit_code_of(error: HeadraceError) -> Exit:
    from processor.cli.layers import SettingsInvalid  # here: a failing start-up is no reason to load everything
    from processor.transport.abstract import TransportUnavailable

    if isinstance(error, CommandFailed):
        return error.code
    from processor.recorder.store import HistoryUnavailable

    if isinstance(error, TransportUnavailable | HistoryUnavailable):
        return Exit.UNREACHABLE
    from processor.registry.problems import DocumentInvalid

    return Exit.USAGE if isinstance(error, SettingsInvalid | DocumentInvalid) else Exit.FAILED


def tell(error: HeadraceError) -> None:
    """On standard error: what is wrong, and what to do about it."""
    print(f"headrace: {error}", file=sys.stderr)
    if error.remedy:
        print(f"  -> {error.remedy}", file=sys.stderr)
