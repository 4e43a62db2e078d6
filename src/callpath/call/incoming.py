"""The commands that follow from an application's decision to reject a call, or to forward it. Pure.

(An answer is `CallSession.next_commands`; a call that is ignored needs none.)
"""

from __future__ import annotations

from typing import Any

from callpath.call.leg import LegState
from callpath.call.outcomes import leg_status, made_leg
from callpath.call.plan import derived_command_id
from callpath.call.session import CallSession
from callpath.wire.command import Command, Reject, Transfer


def incoming_commands(session: CallSession) -> tuple[Command, ...]:
    """What a decision needs now. Each is returned once, provided that the caller records a CommandSent for it."""
    leg = session.leg
    if leg is None or session.decided is None or session.ended or leg.state is not LegState.INITIATED:
        return ()
    decided = session.decided[1]
    if decided.decision == "reject":
        return _reject(session, decided.cause or "USER_BUSY")
    if decided.decision != "forward":
        return ()
    transfers = session.sent(Transfer.NAME)
    if not transfers:
        command_id = derived_command_id(leg.call_control_id, Transfer.NAME)
        return (Transfer(to=decided.to or "", timeout_secs=decided.ring_s or None, command_id=command_id),)
    answer, other = session.answers.get(transfers[0].command_id), made_leg(session, transfers[0])
    if other is not None and other.state is LegState.ENDED and not other.answered_unix_ms:
        return _reject(session, "USER_BUSY" if leg_status(other) == "busy" else "TEMPORARILY_UNAVAILABLE")
    if other is None and answer is not None and not answer.accepted:
        return _reject(session, "TEMPORARILY_UNAVAILABLE")
    return ()


def _reject(session: CallSession, cause: Any) -> tuple[Command, ...]:
    assert session.leg is not None
    if session.sent(Reject.NAME):
        return ()
    return (Reject(cause=cause, command_id=derived_command_id(session.leg.call_control_id, Reject.NAME)),)
