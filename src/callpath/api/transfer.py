"""A transfer, and a SIP REFER, from the command to its outcome."""

from __future__ import annotations

import math

import msgspec

from callpath.api.feed import CallFeed
from callpath.call.client_state import ClientState, encode_client_state
from callpath.call.consult import open_consult
from callpath.call.numbers import check_number, is_number, same_number
from callpath.call.outcomes import (
    NEWS_MS_MAX,
    Referred,
    Transferred,
    made_leg,
    refer_outcome,
    refusal_code,
    transfer_outcome,
)
from callpath.call.plan import derived_command_id
from callpath.errors import ControlError, InvalidRequestError, LocalProtocolError
from callpath.wire.command import Hangup, MachineDetection, Refer, StreamingStop, Transfer

RING_S_MIN, RING_S_MAX = 5, 600

REFER_S_MAX = 120

PARKED_MS_MAX = 5_000.0
"""How long Telnyx may take to end the leg of an answering machine, so that the caller is alone again."""


class Transfers:
    """The transfers of one call."""

    def __init__(self, feed: CallFeed) -> None:
        self._feed = feed

    def command(
        self,
        to: str,
        *,
        ring_s: float,
        caller_id: str | None,
        announce: str | None,
        detect: MachineDetection | None,
    ) -> Transfer:
        """The command for a transfer. Raises InvalidRequestError."""
        facts = self._feed.facts
        check_number(to, "the target of a transfer")
        if caller_id is not None:
            check_number(caller_id, "the caller_id of a transfer")
        if not RING_S_MIN <= ring_s <= RING_S_MAX:
            raise InvalidRequestError(
                "out_of_range", f"a phone rings {RING_S_MIN} to {RING_S_MAX} s: ring_s cannot be {ring_s:g}"
            )
        ours, theirs = (facts.from_, facts.to) if facts.direction == "outgoing" else (facts.to, facts.from_)
        if same_number(to, theirs):
            raise InvalidRequestError(
                "transfer_to_self", "a caller cannot be transferred to their own number: it is busy with this call"
            )
        if same_number(to, ours):
            raise InvalidRequestError(
                "transfer_to_self",
                "a transfer to the number that was called would come back as a new call to this application: "
                "give another number",
            )
        self.check_alone()
        return Transfer(
            to=to,
            from_=caller_id,
            audio_url=announce,
            timeout_secs=math.ceil(ring_s),
            answering_machine_detection=detect,
            park_after_unbridge="self" if detect not in (None, "disabled") else None,
        )

    def check_alone(self) -> None:
        """Raises InvalidRequestError (`second_transfer`) while another phone rings, or somebody is consulted."""
        session = self._feed.backend.session
        if open_consult(session) is not None:
            raise InvalidRequestError(
                "second_transfer", "somebody is consulted about this call: wait for the result of the consult"
            )
        for sent in session.sent(Transfer.NAME):
            leg = made_leg(session, sent)
            if leg is not None and not leg.hangup_unix_ms and not leg.answered_unix_ms and not leg.bridged_unix_ms:
                raise InvalidRequestError(
                    "second_transfer", "another phone rings already: wait for the result of the first transfer"
                )

    async def carry_out(self, command: Transfer, *, ring_s: float, keep_stream: bool) -> Transferred:
        """Send it, and wait for its outcome."""
        feed = self._feed
        session = feed.backend.session
        number = 1 + sum(1 for sent in session.commands.values() if sent.command == Transfer.NAME)
        command_id = derived_command_id(feed.facts.call_control_id, Transfer.NAME, number)
        command = _named(command, command_id)
        try:
            await feed.backend.send(command)
        except ControlError as error:
            if error.status is not None:
                sent = session.answers.get(command_id)
                code = refusal_code(sent) if sent is not None else error.code
                return Transferred("refused", code=code, detail=error.detail)
        detects = command.park_after_unbridge is not None
        told = await feed.until(
            lambda now_unix_ms: transfer_outcome(session, command_id, detects=detects, now_unix_ms=now_unix_ms),
            ring_s * 1000 + NEWS_MS_MAX,
        )
        if told is None:
            return Transferred("unknown")
        if told.status == "voicemail":
            await self._take_back(told)
        elif told and not keep_stream:
            await self._stop_stream()
        return told

    async def _take_back(self, told: Transferred) -> None:
        """Hang up on the machine: the caller, who was to be parked, is alone again."""
        session = self._feed.backend.session
        assert told.call_control_id is not None
        leg = session.leg_of(told.call_control_id)
        if leg is None or leg.hangup_unix_ms:
            return
        try:
            await self._feed.backend.send(Hangup(), told.call_control_id)
        except (ControlError, LocalProtocolError):
            return  # it has ended by itself
        await self._feed.until(lambda _: (leg.hangup_unix_ms or None, None), PARKED_MS_MAX)

    async def _stop_stream(self) -> None:
        if self._feed.backend.session.stream_open:
            try:
                await self._feed.backend.send(StreamingStop())
            except (ControlError, LocalProtocolError):
                return  # the call is over, or the stream was stopped already


async def refer(feed: CallFeed, to: object, *, within_s: float) -> Referred:
    """Send a SIP REFER, and wait for its outcome."""
    session = feed.backend.session
    if not isinstance(to, str) or not to.startswith(("sip:", "sips:")) or not is_number(to):
        raise InvalidRequestError(
            "not_sip",
            "a caller can be referred to a SIP address only: give sip:ID@HOST, or use transfer() for a number",
        )
    if not 1 <= within_s <= REFER_S_MAX:
        raise InvalidRequestError(
            "out_of_range", f"a SIP endpoint has 1 to {REFER_S_MAX} s for a REFER: within_s cannot be {within_s:g}"
        )
    Transfers(feed).check_alone()
    number = 1 + sum(1 for sent in session.commands.values() if sent.command == Refer.NAME)
    command_id = derived_command_id(feed.facts.call_control_id, Refer.NAME, number)
    try:
        await feed.backend.send(Refer(sip_address=to, command_id=command_id))
    except ControlError as error:
        if error.status is not None:
            sent = session.answers.get(command_id)
            return Referred("refused", code=refusal_code(sent) if sent is not None else error.code, detail=error.detail)

    def find(_: int) -> tuple[Referred | None, int | None]:
        return refer_outcome(session, command_id), None

    told = await feed.until(find, within_s * 1000)
    return Referred("unknown") if told is None else told


def _named(command: Transfer, command_id: str) -> Transfer:
    """With its command_id, which the leg that it makes repeats in each webhook."""
    state = encode_client_state(ClientState(leg=command_id))
    return msgspec.structs.replace(command, command_id=command_id, target_leg_client_state=state)
