"""Pins: servers that are known by their key, whoever vouches for their certificate.

A pin is the SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469 section 2.4): the
part that stays as it is when the certificate is renewed for the same key. It is kept as
curl writes it, ``sha256//`` and base64, so that two pins are equal if their texts are.

To find that part a certificate has to be walked through, a dozen elements of DER. The
standard library cannot, and the ``cryptography`` package is much to ask for so little.
The walk is strict. What is not DER to the letter is refused and not guessed at: where
two readers find different keys in one certificate, one of them is fooled.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import TypeAlias

from .exceptions import LocalProtocolError

#: What a ``pins=`` argument may be: pins, or several in one str with ``;`` between
#: them, as curl takes them; None for any certificate.
Pins: TypeAlias = str | Iterable[str] | None

_HEXADECIMAL = re.compile(r"sha256:([0-9A-Fa-f]{64})")
_BASE64 = re.compile(r"sha256//([A-Za-z0-9+/]{43}=)")

_NONE: frozenset[str] = frozenset()  # Python makes a new one each time.

# Tags of DER (ITU-T X.690 section 8.1.2) that certificates have in these places.
_INTEGER, _BIT_STRING, _SEQUENCE, _VERSION = 0x02, 0x03, 0x30, 0xA0
#: Bytes of the longest length that is read: what is longer is no certificate.
_LONGEST_LENGTH = 4


def parse_pins(given: Pins) -> frozenset[str]:
    """Return pins in the one way of writing them; none if None was given.

    :param given: each ``sha256//BASE64`` or ``sha256:HEX``.
    :raises LocalProtocolError: if one of them is no pin, or there is none among them:
        whoever asks for pins is not to go without by mistake.
    :raises TypeError: if one of them is no str.
    """
    if given is None:
        return _NONE
    pins = frozenset(map(_parse, given.split(";") if isinstance(given, str) else given))
    if not pins:
        raise LocalProtocolError("there is no pin in pins; None is for no pinning")
    return pins


def pin_of(certificate: bytes) -> str:
    """Return the pin of a certificate in DER.

    :raises ValueError: if it is not DER, or no X.509 certificate.
    """
    import hashlib  # Only those who pin need it.

    return _written(hashlib.sha256(public_key_info(certificate)).digest())


def public_key_info(certificate: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a certificate in DER (RFC 5280 section 4.1).

    :raises ValueError: if it is not DER, or no X.509 certificate.
    """
    fields, rest = _split(_only(certificate, _SEQUENCE), _SEQUENCE)
    _, signature = _split(rest, _SEQUENCE)
    _only(signature, _BIT_STRING)
    if fields[:1] == bytes([_VERSION]):  # Version 1 does not say so.
        _, fields = _split(fields, _VERSION)
    # Serial number, signature algorithm, issuer, validity, subject.
    for tag in (_INTEGER, _SEQUENCE, _SEQUENCE, _SEQUENCE, _SEQUENCE):
        _, fields = _split(fields, tag)
    info, rest = _split(fields, _SEQUENCE)
    _, key = _split(info, _SEQUENCE)
    _only(key, _BIT_STRING)
    return fields[: len(fields) - len(rest)]


def _parse(pin: str) -> str:
    if not isinstance(pin, str):
        raise TypeError(f"a pin is a str, not {type(pin).__name__}")
    if found := _HEXADECIMAL.fullmatch(pin.strip()):
        return _written(bytes.fromhex(found[1]))
    if found := _BASE64.fullmatch(pin.strip()):
        return _written(binascii.a2b_base64(found[1]))
    raise LocalProtocolError(f"{pin!r} is no pin: sha256//BASE64 or sha256:HEX")


def _written(digest: bytes) -> str:
    return "sha256//" + base64.b64encode(digest).decode("ascii")


def _only(data: bytes, tag: int) -> bytes:
    """Return the content of the one element that ``data`` has to be."""
    content, rest = _split(data, tag)
    if rest:
        raise ValueError(f"{len(rest)} bytes too many in the certificate")
    return content


def _split(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the first element of ``data``, and what follows that."""
    if data[:1] != bytes([tag]):
        raise ValueError(f"no element {tag:#04x} where a certificate has one")
    size, begin = data[1] if len(data) > 1 else 0x80, 2
    if size >= 0x80:
        begin += size - 0x80
        digits = data[2:begin]
        size = int.from_bytes(digits, "big")
        # Section 10.1: the shortest form, and never the one that names no length.
        if not 0 < begin - 2 <= _LONGEST_LENGTH or size < 0x80 or digits[0] == 0:
            raise ValueError("a length in the certificate is not as DER has it")
    if len(data) < begin + size:
        raise ValueError("the certificate ends too early")
    return data[begin : begin + size], data[begin + size :]
