"""TLS for users: hands on what :mod:`hyper.transport.tls` has, by old names too."""

from __future__ import annotations

import certifi

from .transport.tls import H2, HTTP11, init_context, wrap_socket

__all__ = [
    "H2C_PROTOCOL",
    "H2_NPN_PROTOCOLS",
    "NPN_PROTOCOL",
    "SUPPORTED_NPN_PROTOCOLS",
    "cert_loc",
    "init_context",
    "wrap_socket",
]

NPN_PROTOCOL = H2
H2_NPN_PROTOCOLS = [H2]
SUPPORTED_NPN_PROTOCOLS = [H2, HTTP11]
H2C_PROTOCOL = "h2c"
#: The file of the authorities that are trusted where nothing else is said.
cert_loc = certifi.where()
