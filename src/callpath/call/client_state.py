"""What a leg's `client_state` carries: base64 of a text of the application's, or of callpath's own envelope around it.

Telnyx repeats the client_state of a leg in each of its webhooks, so whatever is in the envelope is known to any process
that gets one of them, after a crash, too: which dial the leg belongs to, which handler takes it, and its variables. Pure.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import msgspec

from callpath.wire.ids import CallControlId, SessionId

_ENVELOPE = "callpath"


@dataclass(frozen=True, slots=True)
class FirstCall:
    """The call that a second one was dialled for, to consult somebody about it."""

    session_id: SessionId
    call_control_id: CallControlId
    from_: str | None = None
    to: str | None = None
    detect: str | None = None
    """What answering machine detection was asked for on the second call."""


@dataclass(frozen=True, slots=True)
class ClientState:
    """`text` is the application's own."""

    text: str | None = None
    handler: str | None = None
    """The name of the handler that takes the call."""

    leg: str | None = None
    """The command_id of the dial or transfer that made the leg."""

    dialled: bool = False
    """It was a dial of ours, which has a timeline of its own."""

    variables: dict[str, Any] = field(default_factory=dict)

    first: FirstCall | None = None
    """The call that this one is a consult about."""


def encode_client_state(state: ClientState) -> str:
    """The client_state that carries `state`. Raises TypeError for variables that are no JSON."""
    envelope = {
        name: value
        for name, value in (
            ("handler", state.handler),
            ("leg", state.leg),
            ("dialled", state.dialled),
            ("variables", state.variables),
            ("text", state.text),
            ("first", _write_first(state.first)),
        )
        if value
    }
    return base64.b64encode(msgspec.json.encode({_ENVELOPE: envelope})).decode()


def decode_client_state(client_state: str | None) -> ClientState:
    """What a client_state carries. One that is no base64 of text is taken as it is."""
    if not client_state:
        return ClientState()
    try:
        text = base64.b64decode(client_state, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ClientState(text=client_state)
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return ClientState(text=text)
    envelope = document.get(_ENVELOPE) if isinstance(document, dict) else None
    if not isinstance(envelope, dict):
        return ClientState(text=text)
    variables = envelope.get("variables")
    return ClientState(
        text=_text(envelope.get("text")),
        handler=_text(envelope.get("handler")),
        leg=_text(envelope.get("leg")),
        dialled=envelope.get("dialled") is True,
        variables=variables if isinstance(variables, dict) else {},
        first=_read_first(envelope.get("first")),
    )


def _write_first(first: FirstCall | None) -> dict[str, str]:
    if first is None:
        return {}
    fields = {
        "session": first.session_id,
        "call": first.call_control_id,
        "from": first.from_,
        "to": first.to,
        "detect": first.detect,
    }
    return {name: value for name, value in fields.items() if value}


def _read_first(first: object) -> FirstCall | None:
    if not isinstance(first, dict):
        return None
    session, call = _text(first.get("session")), _text(first.get("call"))
    if not session or not call:
        return None
    return FirstCall(
        SessionId(session),
        CallControlId(call),
        _text(first.get("from")),
        _text(first.get("to")),
        _text(first.get("detect")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
