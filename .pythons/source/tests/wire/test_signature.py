"""Who may tell us about calls: Telnyx, and nobody else."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from callpath.errors import ConfigError, SignatureError
from callpath.wire.signature import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    load_public_key,
    public_key_text,
    sign,
    sign_version_1,
    verify,
)

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
BODY = b'{"data":{}}'
NOW = 1_767_323_045


def test_a_literal_signature() -> None:
    """Made once with another implementation (openssl pkeyutl): the message is timestamp, "|", body."""
    headers = {
        SIGNATURE_HEADER: "LGQ8GSOUIaCUAXUpP3KpeTNDE/+NQ46mp3tZOuEyuIDtJiTWP0bzJAR4HCndLmy9qARzIc9bsouVhW0xmCGLBA==",
        TIMESTAMP_HEADER: str(NOW),
    }

    verify(BODY, headers, PUBLIC, NOW)
    assert sign(BODY, PRIVATE, NOW) == headers


@pytest.mark.parametrize("age_s", [-300, 0, 300])
def test_fresh_enough(age_s: int) -> None:
    """Clocks differ, and a retry may come late."""
    verify(BODY, sign(BODY, PRIVATE, NOW - age_s), PUBLIC, NOW)


@pytest.mark.parametrize(("age_s", "says"), [(301, "301 s ago"), (-301, "301 s in the future")])
def test_too_old_or_too_new(age_s: int, says: str) -> None:
    """A recorded webhook must not be played again for ever. The text leads to the clock."""
    with pytest.raises(SignatureError, match=says) as caught:
        verify(BODY, sign(BODY, PRIVATE, NOW - age_s), PUBLIC, NOW)

    assert caught.value.reason == "stale"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({SIGNATURE_HEADER: ""}, "unsigned"),
        ({TIMESTAMP_HEADER: ""}, "unsigned"),
        ({SIGNATURE_HEADER: "", "x-telnyx-signature": "t=1,h=abc"}, "api_version_1"),
        ({TIMESTAMP_HEADER: "yesterday"}, "bad_timestamp"),
        ({TIMESTAMP_HEADER: "9" * 400}, "bad_timestamp"),
        ({TIMESTAMP_HEADER: "١٢٣"}, "bad_timestamp"),
        ({SIGNATURE_HEADER: "AAAA"}, "bad_signature"),
        ({SIGNATURE_HEADER: "not base64"}, "bad_signature"),
        ({SIGNATURE_HEADER: "ü"}, "bad_signature"),
        ({TIMESTAMP_HEADER: str(NOW + 1)}, "bad_signature"),
    ],
)
def test_each_refusal_has_its_reason(change: dict[str, str], reason: str) -> None:
    """Wrong key, altered body and wrong API version are mended in different places."""
    with pytest.raises(SignatureError) as caught:
        verify(BODY, sign(BODY, PRIVATE, NOW) | change, PUBLIC, NOW)

    assert caught.value.reason == reason


@given(position=st.integers(0, len(BODY) - 1), flip=st.integers(1, 255))
def test_one_changed_byte_is_noticed(position: int, flip: int) -> None:
    """A body is only believed as a whole."""
    altered = bytearray(BODY)
    altered[position] ^= flip

    with pytest.raises(SignatureError):
        verify(bytes(altered), sign(BODY, PRIVATE, NOW), PUBLIC, NOW)


@given(st.binary(min_size=64, max_size=64))
def test_a_forged_signature_is_refused(signature: bytes) -> None:
    """Whatever 64 bytes an attacker tries."""
    headers = {SIGNATURE_HEADER: base64.b64encode(signature).decode(), TIMESTAMP_HEADER: str(NOW)}

    with pytest.raises(SignatureError):
        verify(BODY, headers, PUBLIC, NOW)


@pytest.mark.parametrize(
    "text",
    [
        public_key_text(PRIVATE),
        base64.b64encode(PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode(),
        PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().replace("\n", "\\n"),
    ],
    ids=["raw", "der", "pem", "pem in one line"],
)
def test_the_public_key_in_each_form(text: str) -> None:
    """The portal shows the raw one; environments and other tools carry the rest."""
    verify(BODY, sign(BODY, PRIVATE, NOW), load_public_key(text), NOW)


@pytest.mark.parametrize("text", ["", "KEY0123", "AAAA", "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----"])
def test_what_is_no_public_key(text: str) -> None:
    """Pasting the API key here is the usual slip."""
    with pytest.raises(ConfigError, match="TELNYX_PUBLIC_KEY"):
        load_public_key(text)


def test_a_key_of_another_kind() -> None:
    """An RSA key parses well and verifies nothing."""
    rsa = generate_private_key(65537, 2048).public_key()
    text = rsa.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    with pytest.raises(ConfigError, match="not an Ed25519"):
        load_public_key(text)


def test_version_1_is_named_as_such() -> None:
    """Its HMAC cannot be checked with the public key: the setting is wrong, not the key."""
    headers = sign_version_1(BODY, "secret", NOW)

    assert headers["x-telnyx-signature"].startswith(f"t={NOW},h=")
    assert headers != sign_version_1(BODY, "other", NOW)
    with pytest.raises(SignatureError) as caught:
        verify(BODY, headers, PUBLIC, NOW)
    assert "api_version_1" == caught.value.reason
