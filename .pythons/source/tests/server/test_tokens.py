"""Who may open a call's audio socket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callpath.server.tokens import CallTokens
from callpath.wire.command import AUTH_TOKEN_CHARS_MAX
from callpath.wire.ids import SessionId


def test_a_token_fits_its_call_only() -> None:
    """On any node that has the secret, also after a restart; and nowhere else."""
    token = CallTokens("secret").of(SessionId("a"))

    assert CallTokens("secret").fits(SessionId("a"), token)
    assert not CallTokens("secret").fits(SessionId("b"), token)
    assert not CallTokens("other").fits(SessionId("a"), token)


def test_a_token_is_safe_in_headers_and_paths() -> None:
    """And shorter than Telnyx allows."""
    token = CallTokens("secret").of(SessionId("a"))

    assert token.replace("-", "").replace("_", "").isalnum()
    assert len(token) == 43 <= AUTH_TOKEN_CHARS_MAX


@given(st.text())
def test_no_guess_fits(guess: str) -> None:
    """Whatever text is shown, also what cannot be encoded."""
    tokens = CallTokens("secret")

    assert tokens.fits(SessionId("a"), guess) == (guess == tokens.of(SessionId("a")))
