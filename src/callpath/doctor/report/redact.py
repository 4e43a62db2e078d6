"""What is hidden before a report is shared."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

_SECRET_HEADERS = r"authorization|x-telnyx-streaming-auth-token|cookie|set-cookie|x-api-key"


_SECRET_NAME = (
    r"(?:[\w-]*(?:token|secret|passw(?:or)?d|passphrase|credentials?|signature)"
    r"|[\w-]*(?:api|access|private|signing|encryption|account)[_-]?keys?|client[_-]?state)"
)
_IS_SECRET_NAME = re.compile(_SECRET_NAME, re.IGNORECASE)
_IS_DIGITS = re.compile(r"(?:dtmf[_-]?)?digits?|dtmf", re.IGNORECASE)
_PARTY = (
    r"(?:from|to|caller|callee|msisdn|ani|dnis"
    r"|(?:caller|phone|to|from|called|calling)[_-]?(?:id|number)?(?:[_-]number)?)"
)
_Q = r"\\?['\"]"
"""A quote, perhaps within a text that is quoted itself."""

HIDDEN = "[hidden]"


def hides(name: str) -> bool:
    """Whether the value under this name (of a field, of a variable) is a secret or a pressed key, however it looks."""
    return _IS_SECRET_NAME.fullmatch(name) is not None or _IS_DIGITS.fullmatch(name) is not None


_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.S), "[hidden key]"),
    (re.compile(rf"(?i)((?<![\w-]){_SECRET_NAME}(?:{_Q})?\s*[:=]\s*)({_Q})[^'\"\\\r\n]+(?=\2)"), r"\1\2[hidden]"),
    (
        re.compile(rf"(?i)((?<![\w-]){_SECRET_NAME}\s*[:=]\s*)(?=[^\s'\",;]*\d)[^\s'\",;&\[]{{8,}}"),
        r"\1[hidden]",
    ),
    (re.compile(r"(?i)\b(Bearer|Basic)\s+[\w.~+/=-]{8,}"), r"\1 [hidden]"),
    (
        re.compile(
            r"\b(?:sk|pk|rk)[-_](?:[A-Za-z]+[-_])*[A-Za-z0-9]{12,}[\w-]*|\bgh[opsur]_\w{20,}|\bxox[abprs]-[\w-]{10,}"
            r"|\bA(?:KIA|SIA)[0-9A-Z]{16}\b|\bAIza[\w-]{30,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bglpat-[\w-]{16,}"
        ),
        "[hidden key]",
    ),
    (re.compile(rf"(?i)({_Q}{_PARTY}{_Q}\s*[:=]\s*(?:{_Q})?)\+?\d{{7,15}}(?!\d)"), r"\1[number]"),
    (
        re.compile(
            rf"(?i)(\b(?:dtmf[ _-]?)?digits?(?:{_Q})?\s*[:=]\s*(?:{_Q})?"
            r"|\bdtmf\b[^\w\n]{1,4}(?:\w+[^\w\n]{1,4}){0,2}?"
            r"|\bpressed[^\w\n]{1,3}(?:key |digit |the )?['\"]?)[0-9*#]{1,32}(?![\w.%])"
        ),
        r"\1[hidden]",
    ),
    (
        re.compile(
            r"(?i)((?:token|key|secret|password|passwd|pwd|auth|sig|signature|code|jwt|ticket|bearer|otp|access)=)(?!\d{3,6}\b)[^&\s'\"]+"
        ),
        r"\1[hidden]",
    ),
    (re.compile(rf"(?i)((?:{_SECRET_HEADERS})['\"]?\s*[:=]\s*['\"]?)[^\r\n'\"]+"), r"\1[hidden]"),
    (re.compile(r"//[^/@\s:]+:[^/@\s]+@"), "//[hidden]@"),
    (re.compile(r"\bKEY[0-9A-F]{8,}[\w-]*"), "[hidden key]"),
    (re.compile(r"\beyJ[\w-]{10,}\.[\w-]+\.?[\w-]*"), "[hidden token]"),
    (re.compile(r"(?<![\w.])(?:\+|%2B)\d{7,15}\b"), "[phone number]"),
    (re.compile(r"\bv[23]:[\w+/=%-]{20,}"), "v3:[call]"),
)


_NUMBERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(sips?:)[^@\s]+@"), r"\1[party]@"),
    (re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]*\w"), "[e-mail]"),
    (re.compile(r"(?<![\w.:/+-])\d(?:[ -]?\d){9,18}(?![\w:-])"), "[number]"),
    (re.compile(r"(?<![\w.:/-])\+?(?:1[ .-]?)?\(?[2-9]\d{2}(?:\) ?|[ .-])\d{3}[ .-]\d{4}(?![\w:-])"), "[number]"),
)


_UUID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)
"""Session and leg ids stay: support finds the call by them, and nobody else can."""


_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What makes a terminal act or text run backwards: control characters but tab and line feed, and marks of direction."""


def printable(text: str) -> str:
    """`text` with every character that a terminal would obey written out: a server's answer is a stranger's text."""
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def _looks_secret(segment: str) -> bool:
    """Whether a path segment of 20 characters or more is drawn at random rather than written by a person."""
    if re.fullmatch(r"[a-z]+([-_.][a-z]+)*|[A-Za-z][a-z]+([A-Z][a-z]+)*", segment) or segment.startswith(
        "callpath-doctor"
    ):
        return False
    kinds = sum(bool(re.search(kind, segment)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    counts = [segment.count(character) for character in set(segment)]
    bits = -sum(count / len(segment) * math.log2(count / len(segment)) for count in counts)
    return kinds >= 2 and bits >= 3.0


_OUR_TOKEN = re.compile(r"(/api/calls/[^/\s]+/audio/)[^/?#\s'\"<>]+")
"""AUDIO_PATH_WITH_TOKEN."""

_SEGMENT = re.compile(r"(?<=/)[\w.~-]{20,}(?=[/?#\s'\"<>;,)]|$)", re.ASCII)


def _without_path_tokens(text: str) -> str:
    return _SEGMENT.sub(lambda found: "[hidden]" if _looks_secret(found.group()) else found.group(), text)


def redacted(text: str, token: str | None = None, secrets: Iterable[str] = ()) -> str:
    """`text` without tokens, secrets, numbers and call_control_ids. `secrets` are further texts to hide as they are."""
    if token:
        text = text.replace(token, "[hidden token]")
    for secret in sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True):
        text = text.replace(secret, "[hidden]")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    text = _OUR_TOKEN.sub(r"\1[hidden token]", text)
    pieces = _UUID.split(text)
    for index in range(0, len(pieces), 2):
        pieces[index] = _without_path_tokens(pieces[index])
        for pattern, replacement in _NUMBERS:
            pieces[index] = pattern.sub(replacement, pieces[index])
    return "".join(pieces)
