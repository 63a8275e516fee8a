"""Why a TLS certificate of the other side is not taken, and what a person can do about it. Pure."""

from __future__ import annotations

import ssl

#: X509_V_ERR_ of OpenSSL.
_OUT_OF_TIME = frozenset({9, 10})  # not yet valid, expired
_OF_ANOTHER_HOST = frozenset({62, 64})  # host name, IP address


def remedy_of(error: ssl.SSLCertVerificationError, *, authority: str, servers: str) -> str:
    """authority, servers: the settings that name the certificate authority, and the addresses."""
    if error.verify_code in _OUT_OF_TIME:
        return "Renew the server's certificate, or set the clock of this machine, whichever is wrong."
    if error.verify_code in _OF_ANOTHER_HOST:
        return f"Write into {servers} (and let the server name itself by) a name that its certificate is for."
    return f"Let {authority} be the certificate of the authority that has signed the server's."
