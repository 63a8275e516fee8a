"""Secrets that a manifest names by a variable of the environment, and how a caller shows that it has one."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from processor.core.errors import HeadraceError


class SecretMissing(HeadraceError):
    """The environment variable that should hold the secret is not set or empty."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            f"the environment variable {variable} is not set or empty",
            remedy=f"Set {variable} in the environment of the triggers role, and start it again.",
        )
        self.variable = variable


def secret_from(environment: Mapping[str, str], variable: str) -> str:
    """Raises SecretMissing: better no trigger than an open one."""
    found = environment.get(variable, "").strip("\r\n")  # what files and secret stores leave at its end
    if not found.strip():
        raise SecretMissing(variable)
    return found


def is_bearer(authorization: str, token: str) -> bool:
    """authorization: the header's bytes as latin-1; "" when there is none."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and _same(given.strip().encode("latin-1", "replace"), token.strip().encode())


def same_secret(one: str, other: str) -> bool:
    return _same(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _same(one: bytes, other: bytes) -> bool:
    """In a time that tells nothing about how much of it was right."""
    return hmac.compare_digest(one, other)
