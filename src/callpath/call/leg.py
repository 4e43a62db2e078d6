"""One party's side of a call. Events come late, twice and out of order; no transition goes backwards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from callpath.wire.ids import CallControlId, LegId
from callpath.wire.webhook import (
    CallAnswered,
    CallBridged,
    CallHangup,
    CallInitiated,
    CallPayload,
    CallQuality,
    Webhook,
)


class LegState(IntEnum):
    """How far a leg has come. Only ever grows."""

    SEEN = 0
    INITIATED = 1
    ANSWERED = 2
    ENDED = 3


Stamp = tuple[int, str]
"""When an event occurred at Telnyx (Unix ms), and its id: the order of events, whichever was delivered first."""


@dataclass(slots=True)
class Leg:
    """What the events of one leg have told so far. Events applied twice, or in another order, tell the same."""

    leg_id: LegId
    call_control_id: CallControlId
    first: Stamp
    """The first event that is known of it."""

    state: LegState = LegState.SEEN
    seen_unix_ms: int = 0
    answered_unix_ms: int = 0
    bridged_unix_ms: int = 0
    hangup_unix_ms: int = 0
    """When its first event, its call.answered, its call.bridged and its call.hangup came here; 0: they did not."""

    moved_to: CallControlId | None = None
    """The call_control_id of its last event. It may change when a dialled leg is answered."""

    connection_id: str | None = None
    direction: str | None = None
    from_: str | None = None
    to: str | None = None
    codec: str | None = None
    hangup_cause: str | None = None
    hangup_source: str | None = None
    sip_hangup_cause: str | None = None
    quality: CallQuality | None = None
    client_state: str | None = None
    made_with: str | None = None
    """The client_state of its first event that has one: what it was dialled with, whatever a command set later."""

    headers: dict[str, str] = field(default_factory=dict)
    """SIP headers of its INVITE, as its call.initiated has them."""

    caller_name: str | None = None
    attestation: str | None = None
    attested: bool | None = None
    """STIR/SHAKEN: the attestation of the caller's number, and whether Telnyx could validate it."""

    machine: str | None = None
    greeting: str | None = None
    """The last verdict of answering machine detection, and how the greeting ended (`beep_detected`, …)."""

    told: dict[str, tuple[bool, Stamp]] = field(default_factory=dict)
    """Which event each of these is from, and whether that was a call.initiated."""

    def apply(self, payload: CallPayload, stamp: Stamp, at_unix_ms: int) -> None:
        """Learn from one event, whatever was learnt before. `at_unix_ms` is when it came here."""
        self.first = min(self.first, stamp)
        self.seen_unix_ms = min(at_unix_ms, self.seen_unix_ms or at_unix_ms)
        self._latest("client_state", payload.client_state, stamp)
        if payload.client_state and ((before := self.told.get("made_with")) is None or stamp < before[1]):
            self.told["made_with"], self.made_with = (False, stamp), payload.client_state
        self._latest("moved_to", payload.call_control_id, stamp)
        self._latest("connection_id", payload.connection_id, stamp)
        match payload:
            case CallInitiated():
                self._advance(LegState.INITIATED)
                self._latest("direction", payload.direction, stamp)
                self._party("from_", payload.from_, stamp, initiated=True)
                self._party("to", payload.to, stamp, initiated=True)
                self._latest("caller_name", payload.caller_id_name, stamp)
                self._latest("attestation", payload.shaken_stir_attestation, stamp)
                if payload.shaken_stir_validated is not None and self._is_latest("attested", stamp):
                    self.attested = payload.shaken_stir_validated
                headers = (*(payload.sip_headers or ()), *(payload.custom_headers or ()))
                if headers and self._is_latest("headers", stamp):
                    self.headers = {header.name: header.value for header in headers}
            case CallBridged():
                self.bridged_unix_ms = min(at_unix_ms, self.bridged_unix_ms or at_unix_ms)
            case CallAnswered():
                self._advance(LegState.ANSWERED)
                self.answered_unix_ms = min(at_unix_ms, self.answered_unix_ms or at_unix_ms)
                self._latest("codec", payload.codec, stamp)
                self._party("from_", payload.from_, stamp)
                self._party("to", payload.to, stamp)
            case CallHangup():
                self._advance(LegState.ENDED)
                self.hangup_unix_ms = min(at_unix_ms, self.hangup_unix_ms or at_unix_ms)
                if self._is_latest("hangup", stamp):
                    self.hangup_cause = payload.hangup_cause
                    self.hangup_source = payload.hangup_source
                    self.sip_hangup_cause = payload.sip_hangup_cause
                    self.quality = payload.call_quality_stats
                self._party("from_", payload.from_, stamp)
                self._party("to", payload.to, stamp)
            case _:
                pass

    def detected(self, name: str, result: str | None, stamp: Stamp) -> None:
        """Answering machine detection says something: `name` is `machine` or `greeting`."""
        self._latest(name, result, stamp)

    def _advance(self, state: LegState) -> None:
        self.state = max(self.state, state)

    def _is_latest(self, name: str, stamp: Stamp) -> bool:
        before = self.told.get(name)
        if before is not None and stamp < before[1]:
            return False
        self.told[name] = (False, stamp)
        return True

    def _latest(self, name: str, value: str | None, stamp: Stamp) -> None:
        """The last event that says it is right."""
        if value and self._is_latest(name, stamp):
            setattr(self, name, value)

    def _party(self, name: str, value: str | None, stamp: Stamp, *, initiated: bool = False) -> None:
        """A number: as the last call.initiated has it, or else the first other event."""
        if not value:
            return
        before = self.told.get(name)
        if before is not None and (
            before[0] > initiated or (before[0] == initiated and (stamp < before[1]) == initiated)
        ):
            return
        self.told[name] = (initiated, stamp)
        setattr(self, name, value)


def main_leg(legs: Iterable[Leg]) -> Leg | None:
    """The leg that talks to us: the one whose first event occurred first. Those of a transfer or a dial come later.

    A leg of which only by-products are known (a gather, a recording, a bridge) is none while another one is known by how it
    began, was answered or ended: such an event may come long after a call, and bear any time.
    """
    return min(legs, key=lambda leg: (leg.state is LegState.SEEN, leg.first, leg.leg_id), default=None)


def stamp_of(webhook: Webhook, at_unix_ms: int) -> Stamp:
    """The place of an event among the others; one without a time is placed by when it came. (Some events of conferences
    have their time in the payload only.)"""
    try:
        occurred = datetime.fromisoformat(webhook.occurred_at or getattr(webhook.payload, "occurred_at", None) or "")
    except ValueError:
        return at_unix_ms, webhook.id
    if occurred.tzinfo is None:
        occurred = occurred.replace(tzinfo=UTC)
    return round(occurred.timestamp() * 1000), webhook.id
