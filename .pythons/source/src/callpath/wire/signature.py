"""Ed25519 over a webhook's raw body, as Telnyx signs it.

The signed message is the value of `telnyx-timestamp`, a "|", and the body's bytes as they arrived: parsing and printing
again breaks it. The signature is base64 of 64 bytes in `telnyx-signature-ed25519`. Source: Telnyx's Python SDK.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from callpath.errors import ConfigError, SignatureError

SIGNATURE_HEADER = "telnyx-signature-ed25519"
TIMESTAMP_HEADER = "telnyx-timestamp"
VERSION_1_HEADER = "x-telnyx-signature"
"""HMAC header of API version 1, whose webhooks cannot be verified with the public key."""

TOLERANCE_S = 300
"""How far a timestamp may be off, in both directions. Telnyx's SDKs use it; Telnyx itself states no value."""

PrivateKey = Ed25519PrivateKey
PublicKey = Ed25519PublicKey


def load_public_key(text: str, setting: str = "TELNYX_PUBLIC_KEY") -> PublicKey:
    """Read the account's public key: base64 of 32 raw bytes (as the portal shows it), base64 DER, or PEM.

    Raises ConfigError, naming `setting`, when it is none of these.
    """
    hint = "Copy it from the Telnyx portal, Keys & Credentials, Public Key: 44 characters that end in '='"
    try:
        if "-----BEGIN" in text:
            key = load_pem_public_key(text.replace("\\n", "\n").encode())
        else:
            raw = base64.b64decode(text.strip(), validate=True)
            key = Ed25519PublicKey.from_public_bytes(raw) if len(raw) == 32 else load_der_public_key(raw)
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        kind = "is an API key, not the public key" if text.strip().startswith("KEY") else "is not a public key"
        raise ConfigError(setting, kind, hint) from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(setting, "is a public key, but not an Ed25519 one", hint)
    return key


def public_key_text(key: PrivateKey) -> str:
    """The public half as the portal shows it: base64 of 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def verify(body: bytes, headers: Mapping[str, str], key: PublicKey, now_s: float) -> None:
    """Return if `body` is Telnyx's own and fresh. `headers` must find names in lower case.

    Raises SignatureError with reason `unsigned`, `api_version_1`, `bad_timestamp`, `stale`, `bad_signature`.
    """
    signature_text = headers.get(SIGNATURE_HEADER)
    timestamp = headers.get(TIMESTAMP_HEADER)
    if not signature_text or not timestamp:
        if headers.get(VERSION_1_HEADER):
            raise SignatureError(
                "api_version_1",
                f"signed the API version 1 way ({VERSION_1_HEADER}). "
                "Set webhook_api_version to 2 in the Call Control application",
            )
        raise SignatureError("unsigned", f"lacks {SIGNATURE_HEADER} or {TIMESTAMP_HEADER}")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureError("bad_timestamp", f"{TIMESTAMP_HEADER} is not Unix seconds")
    try:
        signature = base64.b64decode(signature_text, validate=True)
        key.verify(signature, timestamp.encode() + b"|" + body)
    except (ValueError, InvalidSignature):
        raise SignatureError(
            "bad_signature",
            "signature, body and public key do not fit: wrong TELNYX_PUBLIC_KEY, or the body was altered on its way",
        ) from None
    age_s = now_s - int(timestamp)
    if abs(age_s) > TOLERANCE_S:
        raise SignatureError(
            "stale",
            f"signed {abs(age_s):.0f} s {'ago' if age_s > 0 else 'in the future'}, {TOLERANCE_S} s are allowed: "
            "is this machine's clock right?",
        )


def sign(body: bytes, key: PrivateKey, timestamp_s: int) -> dict[str, str]:
    """The two headers that Telnyx would send with `body`."""
    signature = key.sign(str(timestamp_s).encode() + b"|" + body)
    return {SIGNATURE_HEADER: base64.b64encode(signature).decode(), TIMESTAMP_HEADER: str(timestamp_s)}


def sign_version_1(body: bytes, secret: str, timestamp_s: int) -> dict[str, str]:
    """The header of API version 1. That it is HMAC-SHA256 is documented, the shape `t=…,h=…` is second-hand."""
    digest = hmac.new(secret.encode(), str(timestamp_s).encode() + b"." + body, hashlib.sha256).digest()
    return {VERSION_1_HEADER: f"t={timestamp_s},h={base64.b64encode(digest).decode()}"}
