"""A call that rings, and what an application may decide about it before anything is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias

import msgspec

from callpath.api.call import Call
from callpath.call.client_state import decode_client_state
from callpath.call.leg import Leg
from callpath.call.numbers import check_number
from callpath.errors import InvalidRequestError
from callpath.timeline import CallDecided
from callpath.wire.ids import CallControlId, LegId, SessionId

Handler = Callable[[Call], Awaitable[None]]
Refusal = Literal["busy", "rejected", "not_found", "unavailable"]

CAUSES = {
    "busy": "USER_BUSY",
    "rejected": "CALL_REJECTED",
    "not_found": "NOT_FOUND",
    "unavailable": "TEMPORARILY_UNAVAILABLE",
}
"""Telnyx's words: the caller gets SIP 486, 603, 404 or 480."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A call before it is answered, as its call.initiated has it."""

    session_id: SessionId
    call_control_id: CallControlId
    leg_id: LegId
    from_: str | None = None
    """The caller's number or SIP address; None when hidden."""

    to: str | None = None
    direction: str | None = None
    """`incoming` or `outgoing`. Only incoming calls are decided about; predicates of `@app.call(when=…)` see both."""

    caller_name: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    """SIP headers, by name."""

    attestation: str | None = None
    """STIR/SHAKEN: `A` (the caller may use the number), `B` or `C`; None: not told."""

    attested: bool | None = None
    """Whether Telnyx could validate the attestation."""

    client_state: str | None = None
    """Decoded."""

    state: SimpleNamespace = field(default_factory=SimpleNamespace)
    """What the application's lifespan made."""

    @property
    def diversion(self) -> str | None:
        """The SIP header that names the number from which the call was forwarded."""
        return next((value for name, value in self.headers.items() if name.lower() == "diversion"), None)

    @staticmethod
    def of(session: SessionId, leg: Leg, state: SimpleNamespace) -> Ring:
        """From what the webhooks told."""
        return Ring(
            session_id=session,
            call_control_id=leg.call_control_id,
            leg_id=leg.leg_id,
            from_=leg.from_,
            to=leg.to,
            direction=leg.direction,
            caller_name=leg.caller_name,
            headers=dict(leg.headers),
            attestation=leg.attestation,
            attested=leg.attested,
            client_state=decode_client_state(leg.client_state).text,
            state=state,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the call. `handler`: which one takes it, as the function or its name (None: by number, predicate or default).
    `record`: record it from the beginning. `variables`: JSON that the handler finds in `call.variables`."""

    handler: Handler | str | None = None
    record: bool = False
    variables: dict[str, Any] = field(default_factory=dict)

    def decided(self, name_of: Callable[[Handler | str], str]) -> CallDecided:
        """The entry for the timeline. Raises InvalidRequestError for what is no JSON."""
        try:
            variables = msgspec.to_builtins(self.variables)
        except TypeError as error:
            raise InvalidRequestError("out_of_range", f"variables of a call must be JSON: {error}") from None
        return CallDecided(
            decision="answer",
            handler=None if self.handler is None else name_of(self.handler),
            record=self.record,
            variables=variables,
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the call: `busy` (486), `rejected` (603), `not_found` (404) or `unavailable` (480)."""

    cause: Refusal = "busy"

    def decided(self) -> CallDecided:
        """The entry for the timeline. Raises InvalidRequestError for a cause that there is not."""
        if self.cause not in CAUSES:
            raise InvalidRequestError("out_of_range", f"a call is rejected as one of {', '.join(CAUSES)}")
        return CallDecided(decision="reject", cause=CAUSES[self.cause])


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the caller to another number or SIP address without a handler. `ring_s`: how long it rings there (5 to
    600 s). Where Telnyx refuses it, or nobody answers there, the caller gets a busy line."""

    to: str
    ring_s: int = 30

    def decided(self) -> CallDecided:
        """The entry for the timeline. Raises InvalidRequestError."""
        check_number(self.to, "the target of a Forward")
        if not 5 <= self.ring_s <= 600:
            raise InvalidRequestError("out_of_range", f"a phone rings 5 to 600 s: ring_s cannot be {self.ring_s}")
        return CallDecided(decision="forward", to=self.to, ring_s=self.ring_s)


@dataclass(frozen=True, slots=True)
class Ignore:
    """Let it ring, until the caller gives up."""

    def decided(self) -> CallDecided:
        """The entry for the timeline."""
        return CallDecided(decision="ignore")


Decision: TypeAlias = Answer | Reject | Forward | Ignore
