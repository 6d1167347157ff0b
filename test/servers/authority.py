"""A certificate authority for one test session and the one certificate it issues.

A new authority in each session means that a client which verifies can only ever be
talking to a server of its own session: a stale server on a recycled port, or that of
a test run beside this one, fails the handshake instead of answering.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization


@dataclass(frozen=True, slots=True)
class Authority:
    """Where the files of a session's authority lie, all of them in PEM.

    ``issuer`` is the authority itself, for a test that wants a further certificate.
    """

    ca_file: Path
    cert_file: Path
    key_file: Path
    pair_file: Path
    issuer: trustme.CA


def make_authority(directory: Path) -> Authority:
    """Make an authority and a certificate for "localhost" and 127.0.0.1.

    The files are written into the directory, which must exist. The key is written as
    PKCS#8 because granian reads nothing else; the pair file (chain, then key) is the
    form haproxy wants.
    """
    issuer = trustme.CA()
    leaf = issuer.issue_cert("localhost", "127.0.0.1")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    chain_pem = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    authority = Authority(
        ca_file=directory / "ca.pem",
        cert_file=directory / "cert.pem",
        key_file=directory / "key.pem",
        pair_file=directory / "pair.pem",
        issuer=issuer,
    )
    authority.ca_file.write_bytes(issuer.cert_pem.bytes())
    authority.cert_file.write_bytes(chain_pem)
    authority.key_file.write_bytes(key_pem)
    authority.pair_file.write_bytes(chain_pem + key_pem)
    return authority
