from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

Handler = Callable[[Any, Any], Any]


class HandlerNotFound(Exception):
    """The module has no such callable."""


def load(name: str, code_dir: str) -> Handler:
    """Imports `module:callable`; also `module.callable`, as Lambda and SCF write it. Raises what the module raises."""
    module_name, colon, attribute = name.partition(":")
    if not colon:
        module_name, _, attribute = name.rpartition(".")
    if sys.path[:1] != [code_dir]:
        sys.path.insert(0, code_dir)
    # Lambda allows folders in a handler's name: src/app.handler
    module = importlib.import_module(module_name.replace("/", "."))
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise HandlerNotFound(f"Handler '{attribute}' missing on module '{module_name}'")
    handler: Handler = found
    return handler
