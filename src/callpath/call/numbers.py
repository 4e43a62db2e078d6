"""Numbers, SIP addresses and keys, judged before anything is sent. Pure."""

from __future__ import annotations

import re

from callpath.errors import InvalidRequestError

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}|sips?:[!-~]+")

KEYS = frozenset("0123456789ABCD*#")
"""Keys that a phone can press; A to D are on none that people have."""

_TO_SEND = KEYS | frozenset("wW")

SEND_DIGITS_MAX = 1_000
"""Maximum digits of one `send_digits`: over four minutes of tones."""


def is_number(text: str) -> bool:
    """Whether `text` is a number in E.164 (+15555550123) or a SIP address (sip:ID@HOST)."""
    return _NUMBER.fullmatch(text) is not None


def check_number(text: object, what: str) -> str:
    """`text` if it can be called. `what` names it in the error. Raises InvalidRequestError (`not_e164`)."""
    if not isinstance(text, str) or not is_number(text):
        raise InvalidRequestError(
            "not_e164",
            f"{what} is no number that can be called: give it in E.164, for example +15555550123, or as sip:ID@HOST",
        )
    return text


def check_digits(digits: object) -> str:
    """`digits` if they can be sent. Raises InvalidRequestError (`bad_digits`)."""
    if not isinstance(digits, str) or not digits or len(digits) > SEND_DIGITS_MAX or set(digits) - _TO_SEND:
        raise InvalidRequestError(
            "bad_digits",
            f"digits to send are 1 to {SEND_DIGITS_MAX:,} of 0-9, A-D, * and #, with w for a pause of 0.5 s and W for one "
            "of 1 s",
        )
    return digits


def check_keys(keys: object, what: str) -> str:
    """`keys` if a phone has them. `what` names the argument. Raises InvalidRequestError (`bad_digits`)."""
    if not isinstance(keys, str) or set(keys) - KEYS:
        raise InvalidRequestError("bad_digits", f"{what} may contain 0-9, A-D, * and #, and nothing else")
    return keys


def same_number(one: str | None, other: str | None) -> bool:
    """Whether both are the same number; SIP addresses are compared without their parameters."""
    if not one or not other:
        return False
    return _plain(one) == _plain(other)


def _plain(number: str) -> str:
    return re.sub(r"[;?].*", "", number).casefold().removeprefix("sips:").removeprefix("sip:")
