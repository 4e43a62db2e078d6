"""The lab's certificate authority: one root, one intermediate, and leaves right and wrong on purpose.

Everything is made anew for each run, in the run's own directory; EC keys, so that a leaf costs a millisecond.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate that may sign others, and its key."""

    certificate: x509.Certificate
    key: Key


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of one server identity. `chain` is what a server sends; `both` has the key too, for HAProxy."""

    chain: Path
    key: Path
    both: Path


class Authority:
    """Makes certificates into `directory`. `root` is the file for a client's `--ca`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._root = self._signer("Lab Root CA", None)
        self._intermediate = self._signer("Lab Intermediate CA", self._root)
        self._stale_intermediate = self._signer(
            "Lab Stale Intermediate CA", self._root, begins=NOW - 400 * DAY, ends=NOW - 5 * DAY
        )
        self.root = directory / "root.pem"
        self.root.write_bytes(_pem(self._root.certificate))
        self._count = 0

    def good(self, *names: str) -> Pair:
        """A leaf for `names` under the intermediate, sent with it: what a public authority's client installs."""
        return self.leaf(*names)

    def leaf(
        self,
        *names: str,
        begins: datetime.datetime = NOW - 10 * DAY,
        ends: datetime.datetime = NOW + 80 * DAY,
        send_intermediate: bool = True,
        send_root: bool = False,
        stale_intermediate: bool = False,
        key: Key | None = None,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        common_name_only: bool = False,
        strange_first: bool = False,
    ) -> Pair:
        """A leaf with one thing wrong, or none. `strange_first` sends the chain in the wrong order."""
        own_key = key or ec.generate_private_key(ec.SECP256R1())
        signer = self._stale_intermediate if stale_intermediate else self._intermediate
        builder = _builder(names[0], own_key, signer.certificate.subject, begins, ends)
        if not common_name_only:
            builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        leaf = builder.sign(signer.key, hashes.SHA256())
        sent = [leaf]
        if send_intermediate:
            sent.append(signer.certificate)
        if send_root:
            sent.append(self._root.certificate)
        if strange_first:
            sent = [leaf, self._root.certificate, signer.certificate]
        return self._write(sent, own_key)

    def self_signed(self, *names: str) -> Pair:
        """What `openssl req -x509` makes: subject and issuer are one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(names[0])
        builder = _builder(names[0], key, subject, NOW - DAY, NOW + 365 * DAY)
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), False)
        return self._write([builder.sign(key, hashes.SHA256())], key)

    def _signer(
        self,
        name: str,
        parent: Signer | None,
        begins: datetime.datetime = NOW - 300 * DAY,
        ends: datetime.datetime = NOW + 3000 * DAY,
    ) -> Signer:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = parent.certificate.subject if parent else _subject(name)
        builder = _builder(name, key, issuer, begins, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(usage, True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        return Signer(builder.sign(parent.key if parent else key, hashes.SHA256()), key)

    def _write(self, certificates: list[x509.Certificate], key: Key) -> Pair:
        self._count += 1
        stem = self._directory / f"server{self._count}"
        pair = Pair(stem.with_suffix(".crt"), stem.with_suffix(".key"), stem.with_suffix(".pem"))
        chain = b"".join(_pem(certificate) for certificate in certificates)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pair.chain.write_bytes(chain)
        pair.key.write_bytes(secret)
        pair.both.write_bytes(chain + secret)
        return pair


def _builder(
    name: str, key: Key, issuer: x509.Name, begins: datetime.datetime, ends: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
