from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from processor.http.message import Request

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpCall:
    """A request to a trigger, as values."""

    method: str
    #: Percent-encoded, as it came.
    path: str
    #: The trigger's own path, with {name} for each parameter.
    template: str
    any_method: bool
    path_parameters: Mapping[str, str]
    #: Percent-encoded, without the question mark.
    query: str
    #: In their order, names in lower case; a name may come several times.
    raw_headers: Sequence[tuple[bytes, bytes]]
    #: Names of headers that must not be stored.
    secret: frozenset[bytes] = frozenset()
    #: "" when nothing was said.
    content_type: str
    body: bytes
    source_ip: str
    http_version: str
    unix_ms: int

    @property
    def headers(self) -> Pairs:
        """Without the secret ones. Decoded only where a format wants them: for a small request that is a good part of
        the work.
        """
        return [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in self.raw_headers
            if name not in self.secret
        ]

    @property
    def query_pairs(self) -> Pairs:
        return parse_qsl(self.query, keep_blank_values=True)


def call_of(
    request: Request,
    body: bytes,
    *,
    template: str,
    any_method: bool,
    path_parameters: Mapping[str, str],
    unix_ms: int,
    secret: frozenset[bytes],
) -> HttpCall:
    scope = request.scope
    return HttpCall(
        method=request.method,
        path=request.path,
        template=template,
        any_method=any_method,
        path_parameters=path_parameters,
        query=scope["query_string"].decode("latin-1"),
        raw_headers=scope["headers"],
        secret=secret,
        content_type=request.header(b"content-type") or "",
        body=body,
        source_ip=str((scope.get("client") or ("",))[0]),
        http_version=str(scope.get("http_version", "1.1")),
        unix_ms=unix_ms,
    )


def joined(pairs: Pairs) -> dict[str, str]:
    """One value for each name: several are joined with commas, as API gateways do it."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found
