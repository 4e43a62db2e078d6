"""One party's side of a call. Events come late, twice and out of order; no transition goes backwards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from callpath.wire.ids import CallControlId, LegId
from callpath.wire.webhook import CallAnswered, CallHangup, CallInitiated, CallPayload, CallQuality


class LegState(IntEnum):
    """How far a leg has come. Only ever grows."""

    SEEN = 0
    INITIATED = 1
    ANSWERED = 2
    ENDED = 3


@dataclass(slots=True)
class Leg:
    """What the events of one leg have told so far."""

    leg_id: LegId
    call_control_id: CallControlId
    state: LegState = LegState.SEEN
    direction: str | None = None
    from_: str | None = None
    to: str | None = None
    codec: str | None = None
    hangup_cause: str | None = None
    hangup_source: str | None = None
    sip_hangup_cause: str | None = None
    quality: CallQuality | None = None
    client_state: str | None = None

    def apply(self, payload: CallPayload) -> None:
        """Learn from one event, whatever was learnt before."""
        self.client_state = payload.client_state or self.client_state
        match payload:
            case CallInitiated():
                self._advance(LegState.INITIATED)
                self.direction = payload.direction or self.direction
                self.from_ = payload.from_ or self.from_
                self.to = payload.to or self.to
            case CallAnswered():
                self._advance(LegState.ANSWERED)
                self.codec = payload.codec or self.codec
                self.from_ = self.from_ or payload.from_
                self.to = self.to or payload.to
            case CallHangup():
                self._advance(LegState.ENDED)
                self.hangup_cause = payload.hangup_cause
                self.hangup_source = payload.hangup_source
                self.sip_hangup_cause = payload.sip_hangup_cause
                self.quality = payload.call_quality_stats
                self.from_ = self.from_ or payload.from_
                self.to = self.to or payload.to
            case _:
                pass

    def _advance(self, state: LegState) -> None:
        self.state = max(self.state, state)
