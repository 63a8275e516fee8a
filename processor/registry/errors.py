from __future__ import annotations

from processor.core.errors import HeadraceError


class RegistryError(HeadraceError):
    """The registry could not do what was asked."""


class AsyncExecutionLocked(RegistryError):
    """`async_execution` is fixed when a function is created (409)."""

    def __init__(self, function: str, is_now: bool) -> None:
        super().__init__(
            f"function {function!r} was created with async_execution: {str(is_now).lower()}, which cannot be changed",
            remedy=f"Set async_execution back to {str(is_now).lower()}, or deploy under another name, "
            f"or delete {function!r} and create it again.",
        )
        self.function = function
        self.is_now = is_now


class DeployConflict(RegistryError):
    """Somebody else deployed the function at the same time (409)."""

    remedy = "Look at what is deployed now with `headrace functions show`, then deploy again."

    def __init__(self, function: str, reason: str) -> None:
        super().__init__(f"function {function!r} was not deployed: {reason}")
        self.function = function


class NotDeployed(RegistryError):
    """No function of this name is deployed."""

    remedy = "List the functions with `headrace functions ls`."

    def __init__(self, function: str) -> None:
        super().__init__(f"no function is named {function!r}")
        self.function = function
