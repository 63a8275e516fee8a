"""`python -m tests.planted.run BUG MODULE ARGUMENT...` runs a module as `python -m` does, with a bug planted.

MODULE `processor` is the `headrace` command.
"""

from __future__ import annotations

import runpy
import sys

from tests.planted.catalogue import plant


def main(name: str, module: str, arguments: list[str]) -> None:
    plant(name)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
