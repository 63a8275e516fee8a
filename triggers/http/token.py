from __future__ import annotations

from collections.abc import Mapping

from processor.http.message import Request
from processor.http.problems import Problem, Refused
from triggers.secrets import is_bearer, secret_from


def token_from(environment: Mapping[str, str], variable: str | None) -> str | None:
    """None: no token is asked for. Raises SecretMissing."""
    return None if variable is None else secret_from(environment, variable)


def check_bearer(request: Request, token: str | None) -> None:
    """Raises Refused (401)."""
    given = request.headers.get(b"authorization", b"").decode("latin-1")
    if token is not None and not is_bearer(given, token):
        raise Refused(_UNAUTHORIZED)


_UNAUTHORIZED = Problem(
    status=401,
    name="unauthorized",
    title="Not allowed",
    detail="this path needs a bearer token",
    remedy="Send it as `Authorization: Bearer TOKEN`.",
)
