"""Entry of the processes below an executor: `__main__.py guard|zygote ...`, run by its path.

Its package is loaded under a private name, so that a function's own module may be called `processor`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

PRIVATE_NAME = "_headrace_runtime"


def main(role: str, arguments: list[str]) -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        PRIVATE_NAME, os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[PRIVATE_NAME] = package
    spec.loader.exec_module(package)
    importlib.import_module(f"{PRIVATE_NAME}.{role}").main(arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
