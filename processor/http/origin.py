"""Which requests of a browser may change anything.

A page of any site can make a browser that stands beside a gateway send it a POST, without ever seeing the answer.
Browsers say from where; programs send neither header and are not meant.
"""

from __future__ import annotations

from processor.http.message import Request
from processor.http.problems import Problem, Refused

_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


def check_origin(request: Request) -> None:
    """Raises Refused (403) for a change that was sent from a page of another site.

    Sec-Fetch-Site is the browser's own judgement, and holds behind any proxy; it is sent over https and to localhost.
    Without it Origin has to name the Host of the request, so a proxy for plain http has to pass Host on. What a proxy
    adds (X-Forwarded-Host) is not looked at: anybody can send it.
    """
    if request.method in _SAFE_METHODS:
        return
    site = request.header(b"sec-fetch-site")
    origin = request.header(b"origin")
    if site is None and (origin is None or origin.partition("://")[2] == request.header(b"host")):
        return
    if site not in ("same-origin", "none"):
        raise Refused(_ELSEWHERE)


_ELSEWHERE = Problem(
    status=403,
    name="other-origin",
    title="Sent from elsewhere",
    detail="a page of another site sent this",
    remedy="Use the console, or a program. Behind a proxy for plain http: let it pass the Host header on.",
    close=True,
)
