"""Pins: how they are written, and where a certificate has what they are made of.

The witness for the second is the cryptography package.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from hyper.common.exceptions import LocalProtocolError
from hyper.common.pins import parse_pins, pin_of, public_key_info

#: Of ``openssl x509 -req``, which makes version 1, and its pin by ``openssl dgst``.
VERSION_1 = base64.b64decode(
    "MIHcMIGPAhQ68XUFW1e9u3JC8UXW4SlLER6HwjAFBgMrZXAwETEPMA0GA1UEAwwG"
    "YS50ZXN0MB4XDTI2MTEyNTA0MDYxMloXDTI2MTEyNjA0MDYxMlowETEPMA0GA1UE"
    "AwwGYS50ZXN0MCowBQYDK2VwAyEA7Z2Ecgqg1GMVnF7fkKoBq3PZzbwmMupRgGvl"
    "ID5z3J4wBQYDK2VwA0EA/B9nJ22fxsbkHNm8JwC21+TFsV/1aJkyb742Ezg/SR0j"
    "JvpMe6G6Lcjpjmj2059oNBwMaJksomaxMKidjjTxAQ=="
)
PIN_OF_IT = "sha256//RLdTcYE0nzx05GACAtIsep4QhV1BCIBuoV6ckBokgB0="

DIGEST = hashlib.sha256(b"a key").digest()
PIN = "sha256//" + base64.b64encode(DIGEST).decode()


def certificate_for(key, names):
    """Return a certificate of version 3 in DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.test")])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(2**159 - 1)
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(2049, 1, 1))
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), False)
        .sign(key, algorithm)
        .public_bytes(serialization.Encoding.DER)
    )


def public_key_by_witness(certificate):
    return (
        x509.load_der_x509_certificate(certificate)
        .public_key()
        .public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


KEYS = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


class TestCertificates:
    @pytest.mark.parametrize("kind", KEYS)
    # The lengths of the whole take one byte, two and three.
    @pytest.mark.parametrize("names", [1, 5, 5000])
    def test_the_pin_is_that_of_its_key(self, kind, names):
        key = KEYS[kind]()
        certificate = certificate_for(key, [f"a{n}.test" for n in range(names)])
        info = public_key_by_witness(certificate)
        assert public_key_info(certificate) == info
        digest = base64.b64encode(hashlib.sha256(info).digest()).decode()
        assert pin_of(certificate) == f"sha256//{digest}"

    def test_a_certificate_of_version_1_does_not_say_its_version(self):
        certificate = x509.load_der_x509_certificate(VERSION_1)
        assert certificate.version is x509.Version.v1
        assert public_key_info(VERSION_1) == public_key_by_witness(VERSION_1)
        assert pin_of(VERSION_1) == PIN_OF_IT

    def test_a_new_certificate_for_the_same_key_has_the_same_pin(self):
        key = KEYS["p256"]()
        old, new = certificate_for(key, ["a.test"]), certificate_for(key, ["b.test"])
        assert old != new
        assert pin_of(old) == pin_of(new)

    def test_no_part_of_a_certificate_is_one(self):
        for size in range(len(VERSION_1)):
            with pytest.raises(ValueError):
                pin_of(VERSION_1[:size])

    def test_a_byte_too_many_is_refused(self):
        with pytest.raises(ValueError, match="1 bytes too many"):
            pin_of(VERSION_1 + b"\0")


def der(tag, *contents):
    """Return an element of DER."""
    content = b"".join(contents)
    return bytes([tag]) + length(len(content)) + content


def length(size):
    if size < 0x80:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 + len(digits)]) + digits


EMPTY = der(0x30)
NUMBER = der(0x02, b"\1")
BITS = der(0x03, b"\0signature")
VERSION = der(0xA0, der(0x02, b"\2"))
INFO = der(0x30, EMPTY, der(0x03, b"\0key"))
FIELDS = (NUMBER, EMPTY, EMPTY, EMPTY, EMPTY, INFO)


def signed(*fields, rest=(EMPTY, BITS)):
    return der(0x30, der(0x30, *fields), *rest)


def not_der(directory):
    """Return the file of a self-signed certificate and its key, and its pin.

    OpenSSL takes it, for itself too, although one length within what is signed is not
    written in the shortest way.
    """
    key = KEYS["ed25519"]()
    good = certificate_for(key, ["localhost"])
    fields = x509.load_der_x509_certificate(good).tbs_certificate_bytes
    serial_number = b"\x02\x14"
    longer = fields[3:].replace(serial_number, b"\x02\x81\x14", 1)
    signed = der(0x30, longer)
    algorithm = der(0x30, b"\x06\x03\x2b\x65\x70")
    bad = der(0x30, signed, algorithm, der(0x03, b"\0", key.sign(signed)))
    file = directory / "certificate.pem"
    file.write_bytes(
        ssl.DER_cert_to_PEM_cert(bad).encode()
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file, pin_of(good)


class TestDER:
    @pytest.mark.parametrize(
        "fields",
        [
            FIELDS,
            (VERSION, *FIELDS),
            (VERSION, *FIELDS, der(0xA3, der(0x30, bytes(70_000)))),
        ],
    )
    def test_elements_are_found_by_their_places(self, fields):
        assert public_key_info(signed(*fields)) == INFO

    @pytest.mark.parametrize(
        "certificate",
        [
            b"",
            b"\x30",
            EMPTY,
            b"-----BEGIN CERTIFICATE-----",
            signed(*FIELDS[:-1]),
            signed(*FIELDS[1:]),
            signed(*FIELDS, rest=(EMPTY,)),
            signed(*FIELDS, rest=(BITS,)),
            signed(*FIELDS, rest=(EMPTY, BITS, NUMBER)),
            signed(VERSION, VERSION, *FIELDS),
            signed(*FIELDS[:-1], EMPTY),
            signed(*FIELDS[:-1], der(0x30, EMPTY)),
            signed(*FIELDS[:-1], der(0x30, EMPTY, BITS, EMPTY)),
            signed(*FIELDS[:-1], der(0x31, EMPTY, BITS)),
        ],
    )
    def test_what_is_no_certificate_is_refused(self, certificate):
        with pytest.raises(ValueError):
            public_key_info(certificate)

    @pytest.mark.parametrize(
        "wrong",
        [
            b"\x02\x80\1\0\0",  # the end is marked, not told: BER alone
            b"\x02\x81\x01\1",  # not the shortest form
            b"\x02\x82\x00\x80" + bytes(0x80),
            b"\x02\x85\x00\x00\x00\x00\x01\1",  # longer than anything
            b"\x02\x84\xff\xff\xff\xff\1",
            b"\x02\x82\x01",
            b"\x02\xff" + b"\xff" * 200,
            b"\x02",
        ],
    )
    def test_a_length_that_is_not_der_is_refused(self, wrong):
        with pytest.raises(ValueError):
            public_key_info(signed(wrong, *FIELDS[1:]))

    @given(st.binary() | st.binary().map(lambda data: VERSION_1 + data))
    def test_whatever_comes_it_is_a_key_or_refused(self, data):
        self.try_it(data)

    @given(st.integers(0, len(VERSION_1) - 1), st.integers(0, 255))
    def test_one_other_byte_makes_another_key_or_none(self, place, byte):
        changed = bytearray(VERSION_1)
        changed[place] = byte
        self.try_it(bytes(changed))

    def try_it(self, data):
        try:
            info = public_key_info(data)
        except ValueError:
            return
        assert info in data
        assert info[:1] == b"\x30"


class TestWriting:
    @pytest.mark.parametrize(
        "given",
        [
            PIN,
            f" {PIN} ",
            "sha256:" + DIGEST.hex(),
            "sha256:" + DIGEST.hex().upper(),
            [PIN, "sha256:" + DIGEST.hex()],
            f"{PIN};{PIN}",
            iter([PIN]),
        ],
    )
    def test_the_same_pin_is_the_same_however_it_is_written(self, given):
        assert parse_pins(given) == {PIN}

    def test_there_may_be_several(self):
        assert parse_pins(f"{PIN};{PIN_OF_IT}") == {PIN, PIN_OF_IT}
        assert parse_pins({PIN, PIN_OF_IT}) == {PIN, PIN_OF_IT}

    def test_none_is_none(self):
        assert parse_pins(None) == frozenset()

    @pytest.mark.parametrize(
        "wrong",
        [
            "",
            ";",
            [],
            [""],
            f"{PIN};",
            PIN.removeprefix("sha256//"),
            PIN.replace("256", "1"),
            PIN.removesuffix("="),
            PIN[:-4] + "=",
            "SHA256//" + PIN[8:],
            "sha256:" + DIGEST.hex()[2:],
            "sha256:" + DIGEST.hex() + "00",
            "sha256:" + "g" * 64,
            "sha256//" + "é" * 43 + "=",
        ],
    )
    def test_what_is_no_pin_is_refused(self, wrong):
        with pytest.raises(LocalProtocolError):
            parse_pins(wrong)

    @pytest.mark.parametrize("wrong", [[b"sha256//"], [None], 5, PIN.encode()])
    def test_a_pin_of_another_type_is_refused(self, wrong):
        with pytest.raises(TypeError):
            parse_pins(wrong)
