"""The commands by name. Each is imported when it is called, so that --help costs no more than its text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from processor.cli.errors import Exit, exit_code_of, tell
from processor.core.errors import HeadraceError

_HELP = """Asynchronous functions on events: at most one start, exactly one verdict.

Exit codes: 0 done; 1 the run did not FINISH, a check refused, or a role failed; 2 bad usage or bad input;
3 the gateway or the broker was not reachable or cannot serve now.

Try: `headrace dev --functions examples/functions.yaml`, then `headrace invoke hello --wait`.
"""

#: name -> (where it is, one line of help)
_COMMANDS = {
    "dev": ("dev:dev", "Everything in one process, for trying and developing."),
    "start": ("start:start", "Run one role on Kafka: gateway, triggers, dispatcher, executor or recorder."),
    "serve": ("serve:serve", "Every role in one process, as a service (--embedded)."),
    "deploy": ("deploy:deploy", "Deploy the functions of a manifest."),
    "invoke": ("invoke:invoke", "Send an event to a function; its RequestId comes back at once."),
    "logs": ("logs:logs", "Print a run's log lines, follow them, or search those of all runs."),
    "audit": ("audit:audit", "Count what keeps or breaks each promise, from the log itself."),
    "chaos": ("chaos:chaos", "Break a system of its own on purpose, under load, and audit it."),
    "doctor": ("doctor:doctor", "Check settings, broker, topics, disk: what is wrong, and what to do."),
}
_NOUNS = {
    "runs": (
        "Runs: what was, is and will be executed.",
        {
            "ls": ("runs:ls", "List runs, newest first."),
            "show": ("runs:show", "Show one run."),
            "watch": ("watch:watch", "Print runs as they change."),
            "replay": ("replay:replay", "Run its event again, as a new run."),
            "bulk": ("bulk:bulk", "Cancel or replay every run that a filter finds; shows first what it would do."),
            "cancel": ("runs:cancel", "Cancel a run: one that waits is not started, one that runs is killed."),
        },
    ),
    "functions": (
        "Functions: what is deployed.",
        {
            "ls": ("functions:ls", "List functions."),
            "show": ("functions:show", "Show one function."),
            "create": ("functions:create", "Create a function without a manifest."),
            "disable": ("functions:disable", "Take no new events; what waits is run."),
            "enable": ("functions:enable", "Take events again."),
            "delete": ("functions:delete", "Take no new events, and remove it once nothing of it is left."),
            "pause": ("functions:pause", "Stop starting its runs; events wait."),
            "resume": ("functions:resume", "Start its runs again."),
        },
    ),
    "queues": ("Queues: what waits.", {"ls": ("queues:ls", "List how full they are, and since when.")}),
    "executors": (
        "Executors: who runs functions.",
        {
            "ls": ("executors:ls", "List executors and how they are."),
            "drain": ("executors:drain", "Let one claim no more, finish what it runs, and end."),
        },
    ),
    "triggers": (
        "Triggers: where events come from.",
        {
            "ls": ("triggers:ls", "List triggers and how they are."),
            "show": ("triggers:show", "Show one trigger, in every process that runs it."),
            "fire": ("triggers:fire", "Fire a trigger once, now."),
            "pause": ("triggers:pause", "Pause a trigger; what happens meanwhile waits at its source."),
            "resume": ("triggers:resume", "Resume a paused trigger."),
        },
    ),
    "rejected": (
        "Rejected: what could not become an event, or not be run.",
        {
            "ls": ("rejected:ls", "List what was rejected, newest first."),
            "show": ("rejected:show", "Show one, with its bytes."),
            "redrive": ("rejected:redrive", "Send it again."),
            "discard": ("rejected:discard", "Leave it at that: it is not listed any more."),
        },
    ),
    "history": (
        "The history database: what was recorded of runs and their logs.",
        {
            "migrate": ("history:migrate", "Bring its tables up to this version."),
            "prune": ("history:prune", "Delete the days that are older than what is kept."),
        },
    ),
    "topics": ("Topics of this installation.", {"init": ("topics:init", "Create the topics that are missing.")}),
    "config": (
        "Settings and manifest.",
        {
            "show": ("config:show", "Print every setting with its origin."),
            "check": ("config:check", "Check settings and manifest."),
        },
    ),
}


def make_app(wanted: Sequence[str] = ()) -> App:
    """wanted: the command line. The command that it names shows its own docstring as help, the others one line."""
    app = App(name="headrace", help=_HELP, help_format="plaintext", version=lambda: version("headrace"))
    app["--help"].group = app["--version"].group = "Options"
    for name, (place, text) in _COMMANDS.items():
        app.command(f"processor.cli.{place}", name=name, help=None if wanted[:1] == [name] else text)
    for name, (text, commands) in _NOUNS.items():
        noun = App(name=name, help=text, help_format="plaintext")
        noun["--help"].group = "Options"
        for verb, (place, about) in commands.items():
            noun.command(f"processor.cli.{place}", name=verb, help=None if wanted[:2] == [name, verb] else about)
        app.command(noun)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `headrace`. Exits with a code of `errors.Exit`."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    try:
        result = make_app(arguments)(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        print(f"headrace: {error}".rstrip(), file=sys.stderr)
        print("  -> `headrace --help`, `headrace COMMAND --help`", file=sys.stderr)
        return Exit.USAGE
    except HeadraceError as error:
        tell(error)
        return exit_code_of(error)
    except BrokenPipeError:  # the reader of our output, such as `head`, has had enough
        sys.stderr.close()
        return Exit.OK
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else Exit.OK
