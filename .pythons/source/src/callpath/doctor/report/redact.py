"""What is hidden before a report is shared."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SECRET_HEADERS = r"authorization|x-telnyx-streaming-auth-token|cookie|set-cookie|x-api-key"


_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)((?:token|key|secret|password|passwd|pwd|auth|sig|signature|code)=)[^&\s'\"]+"), r"\1[hidden]"),
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
)


_UUID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)
"""Session and leg ids stay: support finds the call by them, and nobody else can."""


def redacted(text: str, token: str | None = None, secrets: Iterable[str] = ()) -> str:
    """`text` without tokens, secrets, numbers and call_control_ids. `secrets` are further texts to hide as they are."""
    if token:
        text = text.replace(token, "[hidden token]")
    for secret in sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True):
        text = text.replace(secret, "[hidden]")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    pieces = _UUID.split(text)
    for index in range(0, len(pieces), 2):
        for pattern, replacement in _NUMBERS:
            pieces[index] = pattern.sub(replacement, pieces[index])
    return "".join(pieces)
