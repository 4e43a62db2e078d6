"""What became of a leg that was dialled, by a transfer or a dial: one word, folded from its timeline. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from callpath.call.client_state import decode_client_state
from callpath.call.leg import Leg, LegState
from callpath.call.refused import d_code_in
from callpath.call.session import CallSession
from callpath.timeline import CommandAnswered, CommandSent
from callpath.wire.ids import CallControlId, LegId, SessionId
from callpath.wire.webhook import CallReferCompleted

TransferStatus = Literal[
    "answered", "busy", "no_answer", "rejected", "unreachable", "voicemail", "refused", "failed", "unknown"
]

ConsultStatus = Literal[
    "joined",
    "declined",
    "busy",
    "no_answer",
    "rejected",
    "unreachable",
    "voicemail",
    "refused",
    "failed",
    "hung_up",
    "unknown",
]
ReferStatus = Literal["completed", "failed", "refused", "unknown"]

DialStatus = Literal[
    "answered",
    "human",
    "machine",
    "fax",
    "screening",
    "busy",
    "no_answer",
    "rejected",
    "unreachable",
    "refused",
    "failed",
    "unknown",
]

NEWS_MS_MAX = 30_000.0
"""How long after the ringing the event that tells the outcome may take: Telnyx repeats one for a minute, and may try a
second route."""

DETECTION_MS_MAX = 35_000
"""How long detection on a dialled call may take: Telnyx's own limit is 30 s by default."""

VERDICT_MS_MAX = 4_000
"""How long a leg that was answered may take to its first verdict of answering machine detection. Two people hear each other
meanwhile; then it counts as a person."""

CANCELLED, CALLER_GONE_MS = "originator_cancel", 2_000
"""The hangup_cause of a phone that still rang when its caller hung up, and how long the call.hangup of the caller's own leg
may take after it. Before that a transfer is not reported as failed."""

MACHINES = frozenset({"machine", "fax_detected", "fax", "silence"})
"""Verdicts that are no person. (`not_sure` is taken for one.)"""

GREETING_OVER = frozenset({"ended", "prompt_ended"})
"""Words of Telnyx's for a greeting that is over without a beep. `no_beep_detected` and `not_sure` only mean that it has
stopped listening: a long greeting goes on."""

SCREENING = "screening"
"""The verdict about a phone that asks who is calling. Another one follows."""

_BY_CAUSE: dict[str, TransferStatus] = {
    "user_busy": "busy",
    "timeout": "no_answer",
    "no_answer": "no_answer",
    "call_rejected": "rejected",
    "not_found": "unreachable",
}
_UNANSWERED: dict[TransferStatus, DialStatus] = {
    "busy": "busy",
    "no_answer": "no_answer",
    "rejected": "rejected",
    "unreachable": "unreachable",
    "failed": "failed",
}
_BY_SIP_CODE: dict[str, TransferStatus] = {
    "486": "busy",
    "600": "busy",
    "408": "no_answer",
    "487": "no_answer",
    "603": "rejected",
    "403": "rejected",
    "404": "unreachable",
    "410": "unreachable",
    "480": "unreachable",
    "484": "unreachable",
    "604": "unreachable",
}


@dataclass(frozen=True, slots=True)
class Transferred:
    """What came of a transfer. True if somebody answered.

    `answered`: the caller is connected. `busy`, `no_answer`, `rejected` (declined), `unreachable` (no such number, or the
    phone is off), `voicemail` (only with `detect`), `failed` (another cause): the caller is back with the handler.
    `refused`: Telnyx did not dial at all; `code` is its D-code where there is one (`D17`), else its error code.
    `unknown`: no event told what became of it; the caller may be connected.
    """

    status: TransferStatus
    cause: str | None = None
    """Telnyx's hangup_cause of the other leg."""

    sip_code: str | None = None
    code: str | None = None
    detail: str | None = None
    """What Telnyx said to a transfer that it refused."""

    call_control_id: CallControlId | None = None
    """The other leg's, for commands to it."""

    def __bool__(self) -> bool:
        return self.status == "answered"


@dataclass(frozen=True, slots=True)
class Consulted:
    """What came of a consult. True if the caller was joined with the other person.

    `joined`: they talk to each other. `hung_up`: the caller hung up first. In all other cases the caller is back with the
    handler, and the other phone is hung up: `declined` (the second handler declined, returned without accepting or decided
    nothing in time, or the other person hung up; `reason` says which), `busy`, `no_answer`, `rejected`, `unreachable`,
    `failed` (another cause, or the second handler raised), `voicemail` (only with `detect`), `refused` (Telnyx did not
    dial; `code` is its D-code where there is one), `unknown` (no event told the outcome).
    """

    status: ConsultStatus
    reason: str = ""
    cause: str | None = None
    """Telnyx's hangup_cause of the second call."""

    sip_code: str | None = None
    code: str | None = None
    detail: str | None = None
    """What Telnyx said to a dial or a bridge that it refused."""

    session_id: SessionId | None = None
    call_control_id: CallControlId | None = None
    """The second call's."""

    def __bool__(self) -> bool:
        return self.status == "joined"


@dataclass(frozen=True, slots=True)
class Referred:
    """What came of a SIP REFER. True if the far end went to the new address.

    `completed`: it did; the call ends by itself. `failed`: it did not; `sip_code` says why. `refused`: Telnyx did not send
    it; `code` and `detail` say why. `unknown`: no event told the outcome in time. Except after `completed` the caller is
    still with the handler.
    """

    status: ReferStatus
    sip_code: str | None = None
    code: str | None = None
    detail: str | None = None

    def __bool__(self) -> bool:
        return self.status == "completed"


@dataclass(frozen=True, slots=True)
class Dialled:
    """What came of a call that was dialled. True if a person answered, or somebody, where nothing was to detect that.

    `answered`: without `detect`, or where detection said nothing. `human`, `machine`, `fax`, `screening` (the phone
    asks who calls): what detection found. `busy`, `no_answer`, `rejected` (declined), `unreachable` (no such number, or
    the phone is off), `failed`: nobody answered; `cause` and `sip_code` say why. `refused`: Telnyx did not dial; `code`
    is its D-code where there is one. `unknown`: no event told what became of it.

    Detection can change its mind, and `answered_by` has its word as it was then: where `provisional`, look again later.
    """

    status: DialStatus
    session_id: SessionId | None = None
    call_control_id: CallControlId | None = None
    cause: str | None = None
    sip_code: str | None = None
    code: str | None = None
    detail: str | None = None
    answered_by: str | None = None
    """The verdict of answering machine detection in Telnyx's word; None: there was none."""

    beep: bool | None = None
    """Whether the beep of an answering machine was heard; None: nothing was told of one yet."""

    provisional: bool = False
    """The verdict may change: `not_sure`, or a machine that may be a phone that screens its calls."""

    id: str | None = None
    """The dial's own id: of its timeline, and of the HTTP API."""

    def __bool__(self) -> bool:
        return self.status in ("answered", "human")


def dial_outcome(
    session: CallSession, leg_id: LegId, *, detects: bool, now_unix_ms: int, screens: bool = False
) -> tuple[Dialled | None, int | None]:
    """What came of a dial: None while it is not known. The second value is when to ask again without news (Unix ms).
    `screens`: detection looks for phones that screen their calls, which it takes for machines first."""
    leg = session.legs.get(leg_id)
    if leg is None:
        return None, None
    ids: dict[str, Any] = {"session_id": session.session, "call_control_id": leg.call_control_id}
    if not leg.answered_unix_ms:
        if leg.state is not LegState.ENDED:
            return None, None
        status = _UNANSWERED[leg_status(leg)]
        return Dialled(status, cause=leg.hangup_cause, sip_code=leg.sip_hangup_cause, **ids), None
    if not detects:
        return Dialled("answered", **ids), None
    if leg.machine is not None:
        heard: dict[str, Any] = {
            "answered_by": leg.machine,
            "beep": None if leg.greeting is None else leg.greeting == "beep_detected",
            "provisional": leg.machine == "not_sure" or (screens and leg.machine == "machine" and leg.greeting is None),
        }
        return Dialled(_verdict(leg.machine), **heard, **ids), None
    until_unix_ms = leg.answered_unix_ms + DETECTION_MS_MAX
    if leg.state is LegState.ENDED or now_unix_ms >= until_unix_ms:
        return Dialled("answered", cause=leg.hangup_cause, sip_code=leg.sip_hangup_cause, **ids), None
    return None, until_unix_ms


def _verdict(machine: str) -> DialStatus:
    if machine.startswith("human"):
        return "human"
    if machine.startswith("fax"):
        return "fax"
    if machine == "screening":
        return "screening"
    return "machine" if machine in MACHINES else "answered"


def leg_status(leg: Leg) -> TransferStatus:
    """Why a leg that has ended was not answered."""
    return unanswered_status(leg.hangup_cause, leg.sip_hangup_cause)


def unanswered_status(cause: str | None, sip_code: str | None) -> TransferStatus:
    """Why a call was not answered, by its hangup_cause, and by its SIP code where that says nothing."""
    return _BY_CAUSE.get(cause or "") or _BY_SIP_CODE.get(sip_code or "") or "failed"


def made_leg(session: CallSession, sent: CommandSent) -> Leg | None:
    """The leg that a transfer made: the one whose client_state names it, or else the first other leg seen after it that no
    command of ours claims."""
    others = sorted(session.other_legs, key=lambda leg: leg.first)
    unclaimed = []
    for leg in others:
        claimed = decode_client_state(leg.client_state).leg
        if claimed == sent.command_id:
            return leg
        if claimed is None and leg.seen_unix_ms >= session.sent_unix_ms[sent.command_id]:
            unclaimed.append(leg)
    return unclaimed[0] if unclaimed else None


def refusal_code(answer: CommandAnswered) -> str | None:
    """The D-code in what Telnyx said to a command that it refused, or else its error code."""
    return d_code_in(answer.error_detail) or answer.error_code


def refer_outcome(session: CallSession, command_id: str) -> Referred | None:
    """What came of a SIP REFER: None while it is not known."""
    sent_unix_ms = session.sent_unix_ms.get(command_id)
    if sent_unix_ms is None:
        return None
    told = [(at, event_id) for event_id, (at, _) in session.referred.items() if at >= sent_unix_ms]
    if not told:
        answer = session.answers.get(command_id)
        if answer is None or answer.accepted or answer.status is None:
            return None
        return Referred("refused", code=refusal_code(answer), detail=answer.error_detail)
    payload = session.referred[min(told)[1]][1]
    response = payload.sip_notify_response
    completed = isinstance(payload, CallReferCompleted)
    return Referred("completed" if completed else "failed", str(response) if response is not None else None)


def transfer_outcome(
    session: CallSession, command_id: str, *, detects: bool, now_unix_ms: int
) -> tuple[Transferred | None, int | None]:
    """What came of a transfer: None while it is not known. The second value is when to ask again without news (Unix ms)."""
    sent = session.commands.get(command_id)
    if sent is None:
        return None, None
    answer = session.answers.get(command_id)
    leg = made_leg(session, sent)
    if leg is None:
        if answer is not None and not answer.accepted:
            return Transferred("refused", code=refusal_code(answer), detail=answer.error_detail), None
        return None, None
    told = Transferred("answered", call_control_id=leg.call_control_id)
    if leg.answered_unix_ms or leg.bridged_unix_ms:
        if not detects or leg.state is LegState.ENDED:
            return told, None
        if leg.machine is None:
            since = leg.answered_unix_ms or leg.bridged_unix_ms
            return (told, None) if now_unix_ms >= since + VERDICT_MS_MAX else (None, since + VERDICT_MS_MAX)
        if leg.machine in MACHINES:
            return Transferred("voicemail", call_control_id=leg.call_control_id), None
        return told, None
    if leg.state is LegState.ENDED:
        until_unix_ms = leg.hangup_unix_ms + CALLER_GONE_MS
        if leg.hangup_cause == CANCELLED and not session.ended and now_unix_ms < until_unix_ms:
            return None, until_unix_ms  # by the end of the caller's leg, as a rule, which is about to be told
        status = leg_status(leg)
        return (
            Transferred(
                status, cause=leg.hangup_cause, sip_code=leg.sip_hangup_cause, call_control_id=leg.call_control_id
            ),
            None,
        )
    return None, None
