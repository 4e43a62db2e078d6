"""Dead ends of a transfer, a bridge, a referral or a conference: the caller was to be passed on, and got nowhere."""

from callpath.call.leg import Leg
from callpath.call.outcomes import MACHINES
from callpath.call.refused import Whose, explain_refusal
from callpath.call.session import CALL_HAS_ENDED, MACHINE_TOLD, Stage
from callpath.doctor.calls import (
    clock,
    d_code_of,
    ended_unix_ms,
    event_of,
    every,
    first,
    never,
    of_another_leg,
    payload,
    refusals,
    refused_by,
    show_entries,
    until_unix_ms,
    webhook,
    webhooks,
)
from callpath.doctor.facts import CallFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Check, Finding, Owner
from callpath.doctor.rules.sample_call import (
    BOTH_WAYS,
    GOOD,
    HEARD,
    STREAM,
    a_call,
    answered,
    counted,
    hook,
    hung_up,
    of_b,
    sent,
)
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    ConsultEnded,
    Entry,
    FirstInbound,
    FirstOutbound,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    MarkReturned,
    MediaCounted,
    PlayoutCleared,
    PolicyActed,
    StreamStarted,
    WebhookReceived,
)
from callpath.wire.words import hangup_words

OWNERS: dict[Whose, Owner] = {"carrier": "Telnyx", "callee": "far end"}
"""Who has to act, where it is not the reader."""

SILENCE_MS = 5_000
"""A program that answers a failed transfer speaks within a few seconds; nobody stays on a silent line for long."""

CUT_MS = 5_000
"""A hang-up this soon after a transfer was asked for, or joined, ends it before the two have talked."""

FRAME_MS = 20


# --- refused at once ---------------------------------------------------------------------------------------------------


def transfer_refused(facts: Facts) -> Finding | None:
    """Telnyx refused to dial the other party: by its answer, or by the D-code of the other leg's hang-up."""
    known = facts[CallFacts]
    at_once = _refused_at_once(known) or _refused_later(known)
    if at_once is None:
        return None
    entry, command, code, detail, said = at_once
    refusal = explain_refusal(code, detail)
    worked = any(leg.answered_unix_ms > entry.at_unix_ms for leg in known.state.other_legs)
    if refusal is None:
        return Finding(
            f"Telnyx refused {command}: {said}", show_entries(known, entry), kind="note" if worked else "fault"
        )
    named = f" ({refusal.code})" if not refusal.code.isdigit() else ""
    return Finding(
        f"{refusal.title}{named}: Telnyx refused {command} ({said})",
        show_entries(known, entry),
        kind="note" if worked else "fault",
        title=f"Telnyx refuses to pass the caller on: {refusal.title}",
        fix=refusal.fix,
        owner=OWNERS.get(refusal.whose),
    )


Refused = tuple[Entry, str, str | None, str | None, str]


def _refused_at_once(known: CallFacts) -> Refused | None:
    dialled_aside = ("dial",) if Stage.CALL_ANSWERED in known.state.stages else ()
    for entry, what in refusals(known, "transfer", "refer", *dialled_aside):
        if what.status is not None and what.error_code != CALL_HAS_ENDED:
            return entry, what.command, what.error_code, what.error_detail, refused_by(what)
    for entry in every(known, ConsultEnded):
        if isinstance(entry.what, ConsultEnded) and entry.what.status == "refused":
            said = " ".join(part for part in (entry.what.code, entry.what.detail) if part)
            return entry, "the second call of a consult", entry.what.code, entry.what.detail, said
    return None


def _refused_later(known: CallFacts) -> Refused | None:
    for entry in every(known, WebhookReceived):
        assert isinstance(entry.what, WebhookReceived)
        if event_of(entry.what) != "call.hangup" or not of_another_leg(known, entry):
            continue
        code = d_code_of(entry)
        if code is not None:
            return entry, "the other leg", code, None, f"telnyx_error {code} in its call.hangup"
    return None


BRIDGE_CODES = frozenset({CALL_HAS_ENDED, "90015", "10005", "90034"})


def bridge_refused(code: str) -> Check:
    """The other leg was not there any more, or not there yet."""

    def check(facts: Facts) -> Finding | None:
        known = facts[CallFacts]
        codes = {code, "90015", "10005"} if code == CALL_HAS_ENDED else {code}
        found = [(e, w) for e, w in refusals(known, "bridge") if w.error_code in codes]
        if not found:
            return None
        entry, what = found[-1]
        later = [
            e for e in every(known, CommandAnswered)
            if isinstance(e.what, CommandAnswered) and e.what.command == "bridge" and e.what.accepted
            and e.at_unix_ms > entry.at_unix_ms
        ]  # fmt: skip
        ended = ended_unix_ms(known)
        ours = ended is not None and ended <= entry.at_unix_ms
        if later or ours:
            return None  # a second try worked, or it was our caller who had left
        return Finding(f"Telnyx refused bridge: {refused_by(what)}", show_entries(known, entry))

    return check


def refer_failed(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    failed = webhook(known, "call.refer.failed")
    if failed is None:
        return None
    code = payload(failed).get("sip_notify_response")
    return Finding(
        "the other side refused the SIP REFER" + (f" (SIP {code})" if code else ""),
        show_entries(known, first(known, CommandSent), failed)[-1:],
    )


# --- nobody there ------------------------------------------------------------------------------------------------------


def left_in_silence(facts: Facts) -> Finding | None:
    """The other party is gone, or never came, and the program does nothing for the caller, who is still there."""
    known = facts[CallFacts]
    if known.source == "logs" and not known.shows("media.counted"):
        raise FactMissing(CallFacts)
    never(known, HandlerFailed)
    for at, words in _left_alone(known):
        acted = _next_act(known, at)
        silent_ms = (acted if acted is not None else until_unix_ms(known)) - at
        if silent_ms < SILENCE_MS:
            continue
        return Finding(
            f"{words}, and for {silent_ms / 1000:.1f} s after that the caller heard nothing",
            (
                f"{clock(known, at)}  {words}",
                *show_entries(known, webhook(known, "call.hangup")),
            ),
        )
    return None


def _left_alone(known: CallFacts) -> list[tuple[int, str]]:
    """When the caller was without anybody to talk to, and how that came about."""
    others = [leg for leg in known.state.other_legs if leg.seen_unix_ms]
    found = []
    for leg in others:
        at = leg.hangup_unix_ms
        if not at or any(_is_there(one, at) for one in others if one is not leg):
            continue
        if leg.answered_unix_ms or leg.bridged_unix_ms:
            found.append((at, "the other party left"))
        else:
            found.append((at, f"the other phone was not answered: {hangup_words(leg.hangup_cause)}"))
    found += [
        (entry.at_unix_ms, "the caller left the queue")
        for entry in webhooks(known, "call.dequeued")
        if payload(entry).get("reason") in ("timeout", "leave")
    ]
    found += [
        (entry.at_unix_ms, f"the consult came to nothing ({entry.what.status})")
        for entry in every(known, ConsultEnded)
        if isinstance(entry.what, ConsultEnded) and entry.what.status not in {"joined", "hung_up", "unknown"}
    ]
    return sorted(found)


def _is_there(leg: Leg, at: int) -> bool:
    return leg.seen_unix_ms <= at and (not leg.hangup_unix_ms or leg.hangup_unix_ms > at)


def _next_act(known: CallFacts, at: int) -> int | None:
    """When the program next did something that the caller can notice; None: never."""
    for entry in known.entries:
        if entry.at_unix_ms < at:
            continue
        what = entry.what
        told = isinstance(what, CommandSent | FirstOutbound | HandlerStarted | HandlerFailed | PolicyActed)
        told = told or isinstance(what, MarkReturned | PlayoutCleared) or _played_on(known, entry, at)
        if told and not (isinstance(what, CommandSent) and what.command in {"streaming_stop", "client_state_update"}):
            return entry.at_unix_ms if not isinstance(what, MediaCounted) else at
    return None


def _played_on(known: CallFacts, entry: Entry, at: int) -> bool:
    """Whether a count shows audio of ours that went out after `at`."""
    what = entry.what
    if not isinstance(what, MediaCounted):
        return False
    before = [
        one.what.frames_out
        for one in every(known, MediaCounted)
        if isinstance(one.what, MediaCounted) and one.what.stream_id == what.stream_id and one.at_unix_ms <= at
    ]
    if before:
        return what.frames_out > before[-1]
    begun = first(known, FirstOutbound)
    since = begun.at_unix_ms if begun is not None else at
    return what.frames_out * FRAME_MS > max(0, at - since) + 400


def voicemail_took_it(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    for leg in known.state.other_legs:
        if leg.machine not in MACHINES or not leg.bridged_unix_ms:
            continue
        told = [
            entry
            for entry in every(known, WebhookReceived)
            if isinstance(entry.what, WebhookReceived)
            and MACHINE_TOLD.get(event_of(entry.what)) == "machine"
            and payload(entry).get("call_leg_id") == leg.leg_id
        ]
        since = max(leg.bridged_unix_ms, told[-1].at_unix_ms if told else 0)
        with_it_ms = (leg.hangup_unix_ms or until_unix_ms(known)) - since
        if with_it_ms < SILENCE_MS:
            return None
        return Finding(
            f"the transfer was answered by a machine ({leg.machine}), and the caller was joined with it for "
            f"{with_it_ms / 1000:.1f} s after that was known",
            show_entries(known, *told[-1:], *_hangups_of(known, leg)),
        )
    return None


def _hangups_of(known: CallFacts, leg: Leg) -> list[Entry]:
    return [
        entry
        for entry in every(known, WebhookReceived)
        if isinstance(entry.what, WebhookReceived)
        and event_of(entry.what) == "call.hangup"
        and payload(entry).get("call_leg_id") == leg.leg_id
    ]


# --- ended by what was meant to help ----------------------------------------------------------------------------------


def cut_by_hangup(facts: Facts) -> Finding | None:
    """Our hangup of the caller's leg ends the transferred call, too."""
    known = facts[CallFacts]
    leg = known.state.leg
    ended = ended_unix_ms(known)
    hangups = [
        e for e in every(known, CommandSent)
        if isinstance(e.what, CommandSent) and e.what.command == "hangup" and leg is not None
        and e.what.call_control_id in (None, leg.call_control_id)
    ]  # fmt: skip
    if not hangups or ended is None or hangups[0].at_unix_ms > ended or every(known, HandlerFailed, PolicyActed):
        return None
    hangup = hangups[0]
    at = hangup.at_unix_ms
    for other in known.state.other_legs:
        if other.seen_unix_ms > at or (other.hangup_unix_ms and other.hangup_unix_ms < at) or other.machine in MACHINES:
            continue
        since = other.bridged_unix_ms or other.answered_unix_ms or other.seen_unix_ms
        if at - since > CUT_MS:
            continue
        state = "was ringing" if not (other.bridged_unix_ms or other.answered_unix_ms) else "had just answered"
        return Finding(
            f"the program hung the caller up {(at - since) / 1000:.1f} s after the transfer, while the other phone {state}",
            show_entries(known, hangup, webhook(known, "call.hangup")),
        )
    return None


FULL_LIMIT_MS = 1_800_000
"""A shorter call has not reached a limit of four hours; one that the program set itself stands in its commands."""


def ended_by_conference(facts: Facts) -> Finding | None:
    """Ending a conference hangs up the leg that created it, wherever that leg has gone since: with cause time_limit."""
    known = facts[CallFacts]
    hangup = webhook(known, "call.hangup")
    if payload(hangup).get("hangup_cause") != "time_limit" or hangup is None:
        return None
    created = webhook(known, "conference.created") or _sent(known, "create", "conference_create")
    finished = webhook(known, "conference.ended") or _sent(known, "end", "conference_end")
    limited = any(
        isinstance(e.what, CommandSent) and e.what.body.get("time_limit_secs") for e in every(known, CommandSent)
    )
    lasted = hangup.at_unix_ms - known.entries[0].at_unix_ms
    if created is None or (limited and finished is None) or lasted > FULL_LIMIT_MS * 8:
        return None
    if finished is None and lasted > FULL_LIMIT_MS:
        return None
    return Finding(
        f"the leg that had created the conference was hung up with cause time_limit after {lasted / 1000:.0f} s",
        show_entries(known, created, finished, hangup),
        confidence="high" if finished is not None else "medium",
    )


def _sent(known: CallFacts, *commands: str) -> Entry | None:
    return next(
        (e for e in every(known, CommandSent) if isinstance(e.what, CommandSent) and e.what.command in commands), None
    )


def silenced_by_monitor(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    for entry in every(known, CommandSent):
        assert isinstance(entry.what, CommandSent)
        if entry.what.command in {"join", "update", "conference_join", "conference_update"} and (
            entry.what.body.get("supervisor_role") == "monitor" and not entry.what.body.get("mute")
        ):
            return Finding(
                "a leg was put into the conference with supervisor_role monitor",
                show_entries(known, entry),
                kind="limited",
                question="Did the others stop hearing each other then? One program saw that whenever a monitor was in the "
                "conference; it stopped when the listener joined with mute true.",
            )
    return None


def texml_owns_the_leg(facts: Facts) -> Finding | None:
    """A transfer of a call that a TeXML document runs: the document goes on, and its end hangs the caller up."""
    known = facts[CallFacts]
    if not every(known, StreamStarted) or not known.shows("command.sent"):
        return None
    ours = {e.what.command for e in every(known, CommandSent) if isinstance(e.what, CommandSent)}
    transfers = [
        e for e in every(known, CommandAnswered)
        if isinstance(e.what, CommandAnswered) and e.what.command == "transfer" and e.what.accepted
    ]  # fmt: skip
    ended = ended_unix_ms(known)
    if not transfers or ended is None or ours & {"answer", "streaming_start", "dial", "hangup"}:
        return None
    after_ms = ended - transfers[-1].at_unix_ms
    source = payload(webhook(known, "call.hangup")).get("hangup_source")
    if source == "caller" or after_ms > 90_000:
        return None
    return Finding(
        f"a call that was neither answered nor given its stream by a command was transferred, and ended "
        f"{after_ms / 1000:.0f} s later",
        show_entries(known, transfers[-1], webhook(known, "call.hangup")),
        kind="limited",
        question="Does a TeXML document run this call? Then the transfer does not take the leg from it: when <Connect> "
        "ends, "
        "its next verb runs, and the end of the document hangs the caller up.",
    )


# --- Telnyx's own speech ------------------------------------------------------------------------------------------------


def cut_by_detection(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    ends = webhooks(known, "call.speak.ended", "call.playback.ended", "call.gather.ended")
    cut = [entry for entry in ends if payload(entry).get("status") == "cancelled_amd"]
    if not cut:
        return None
    again = any(
        payload(entry).get("status") in ("completed", "valid") and entry.at_unix_ms > cut[-1].at_unix_ms
        for entry in ends
    )
    return Finding(
        "answering machine detection ended what Telnyx was speaking or gathering (cancelled_amd)",
        show_entries(known, *cut),
        kind="note" if again or every(known, FirstOutbound) else "fault",
    )


def playback_failed(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    failed = [
        entry
        for entry in webhooks(known, "call.playback.ended", "call.speak.ended")
        if payload(entry).get("status") in ("failed", "file_not_found")
    ]
    if not failed:
        return None
    said = payload(failed[0])
    detail = f": {said['status_detail']}" if said.get("status_detail") else ""
    missing = said.get("status") == "file_not_found"
    return Finding(
        f"Telnyx could not play what it was asked to ({said.get('status')}{detail})",
        show_entries(known, *failed[:3]),
        fix=_NO_FILE if missing else "",
    )


_NO_FILE = "Open the audio_url yourself: curl -sI URL has to answer 200. A media_name has to be uploaded first."


# --- commands with reasons of their own ---------------------------------------------------------------------------------

_REASONS: dict[str, tuple[str, str]] = {
    "90034": ("the call is not answered yet", "Send it after call.answered; in a handler the call is."),
    "90012": ("the voice does not exist", 'Use one of Telnyx\'s voices, as call.speak("…", voice="AWS.Polly.Joanna").'),
    "90013": ("the language does not exist", 'Leave `language` out, or write it as "en-US".'),
    "90010": ("the text is empty or too long", "Send at most 3,000 characters at once."),
    "90011": ("payload_type is neither text nor ssml", 'payload_type: "text"'),
    "90030": ("service_level does not exist", 'service_level: "premium"'),
    "90014": ("the digits hold something that is no key", 'Only 0-9, A-D, *, #, w and W: call.send_digits("12w3#").'),
    "90009": ("loop is neither 1 to 100 nor infinity", 'loop: "infinity"'),
    "90016": ("stop is neither current nor all", 'stop: "all"'),
    "90017": ("client_state is not base64", "client_state: base64.b64encode(b\"…\").decode()"),
    "90019": ("the conference is over", "Create a new one: it ends when its last participant leaves."),
    "90058": ("there is no such conference", "Use the id that the create command answered, not the name, and the same "
    "region."),
    "90033": ("a conference of that name exists already", "Join it: GET "
    "/v2/conferences?filter[name]=NAME&filter[status]=in_progress"),
    "90032": ("the conference is full", "Raise max_participants when it is created (up to 800)."),
    "90036": ("the queue is full", "Raise max_size when the queue is made, or let callers wait elsewhere."),
    "90037": ("a queue's max_size cannot be changed", "Make another queue with the size."),
    "90040": ("the audio file could not be downloaded", _NO_FILE),
    "90053": ("a recording with timeout_secs does not go with transcription", "Leave timeout_secs out of record_start."),
    "90020": ("there was no audio yet to record", "Send record_start after call.answered, a moment later than the answer."),
    "90046": ("the media stream could not be started", "callpath doctor url URL tries the stream's URL."),
    "90059": ("recording_track does not exist", 'recording_track: "both"'),
}  # fmt: skip

_HARMLESS = {
    CALL_HAS_ENDED, "90031", "90035", "90038", "90044", "90045", "90048", "90054", "90055", "90061",
}  # fmt: skip
"""What was asked for had been done already, or was over: nothing is missing to the caller."""

_OF_OTHER_SIGNS = {
    "answer",
    "streaming_start",
    "dial",
    "transfer",
    "refer",
    "reject",
    "hangup",
    "streaming_stop",
}


def command_refused(facts: Facts) -> Finding | None:
    """A command beside those of the set-up was refused."""
    known = facts[CallFacts]
    found = [
        (entry, what)
        for entry, what in refusals(known)
        if what.command not in _OF_OTHER_SIGNS and what.status is not None and what.error_code not in _HARMLESS
        and 400 <= what.status < 500
    ]  # fmt: skip
    for entry, what in found:
        of_bridge = what.command == "bridge" and what.error_code in BRIDGE_CODES
        if of_bridge or _later_accepted(known, entry, what.command):
            continue
        reason = _REASONS.get(what.error_code or "") or _by_text(what.error_detail)
        words = f"{reason[0]}: " if reason else ""
        return Finding(
            f"{words}Telnyx refused {what.command} ({refused_by(what)})",
            show_entries(known, entry),
            title=f"Telnyx refused {what.command}: {reason[0]}" if reason else "",
            fix=reason[1] if reason else "",
        )
    return None


def _by_text(detail: str | None) -> tuple[str, str] | None:
    if "upervisor" in (detail or ""):
        return (
            "a supervisor's leg takes no commands",
            "Send it to a leg of the call that is supervised, or dial a new leg.",
        )
    return None


def _later_accepted(known: CallFacts, entry: Entry, command: str) -> bool:
    return any(
        isinstance(one.what, CommandAnswered)
        and one.what.command == command
        and one.what.accepted
        and one.at_unix_ms > entry.at_unix_ms
        for one in known.entries
    )


_ASKED = [sent("transfer"), answered("transfer")]
_B_RINGS = of_b("call.initiated", direction="outgoing")
_B_UP = [_B_RINGS, of_b("call.answered"), of_b("call.bridged"), hook("call.bridged")]
_TALKED = [*_ASKED, *_B_UP, sent("streaming_stop"), answered("streaming_stop"), HandlerEnded()]

_WITHOUT_COMMANDS = [
    StreamStarted(stream_id=STREAM, encoding="PCMU", sample_rate_hz=8000),
    FirstInbound(stream_id=STREAM, payload_bytes=160),
    FirstOutbound(stream_id=STREAM, payload_bytes=160),
]

CAUSES = (
    Cause.of(
        "call",
        transfer_refused,
        code="CALL100",
        slug="transfer-refused",
        title="Telnyx refuses to pass the caller on",
        owner="you",
        why="A transfer dials the other number, so it needs what a dial needs: an outbound voice profile, an allowed "
        "country, a "
        "caller ID of yours, money, and a free channel. The caller stays where he was.",
        fix="callpath doctor account --to NUMBER checks profile, country and balance. In the handler: result = await "
        "call.transfer(NUMBER); result.status is refused, result.code says why.",
        named={
            "a country that is not allowed": a_call(
                HEARD,
                sent("transfer"),
                answered("transfer", 403, "10010", "Dialed number is not whitelisted D13"),
                sent("speak"),
                answered("speak"),
                (20_000, hung_up()),
            ),
            "a caller ID that is not ours": a_call(
                BOTH_WAYS,
                sent("transfer"),
                answered("transfer", 403, "10010", "Unverified origination number D51"),
                (20_000, hung_up()),
            ),
            "the second leg of a consultation": a_call(
                BOTH_WAYS,
                sent("dial"),
                answered("dial", 403, "10010", "User channel limit exceeded D1"),
                (20_000, hung_up()),
            ),
            "told by the other leg's hang-up": a_call(
                BOTH_WAYS,
                *_ASKED,
                _B_RINGS,
                of_b("call.hangup", hangup_cause="call_rejected", telnyx_error={"error_code": "D51"}),
                sent("speak"),
                answered("speak"),
                (20_000, hung_up()),
            ),
        },
        quiet={
            "a transfer that worked": a_call(BOTH_WAYS, *_TALKED, (30_000, hung_up())),
            "the caller was faster": a_call(BOTH_WAYS, sent("transfer"), answered("transfer", 422, "90018"), hung_up()),
        },
    ),
    Cause.of(
        "call",
        left_in_silence,
        code="CALL101",
        slug="caller-left-in-silence",
        title="The other party is gone, and the caller was left in silence",
        owner="you",
        why="When the other phone is busy or does not answer, or the other party leaves a call whose caller is to stay "
        "(park_after_unbridge), Telnyx keeps the caller up and says nothing. Only the program can speak to him then.",
        fix="Go on with the caller where the transfer did not work:\n"
        "if not await call.transfer(NUMBER, ring_s=20):\n"
        '    await call.speak("Nobody is free at the moment.")',
        named={
            "busy": a_call(
                BOTH_WAYS,
                *_ASKED,
                _B_RINGS,
                (4_000, of_b("call.hangup", hangup_cause="user_busy")),
                (30_000, hung_up()),
            ),
            "parked after the other one left": a_call(
                BOTH_WAYS,
                *_ASKED,
                *_B_UP,
                (9_000, of_b("call.hangup", hangup_cause="normal_clearing")),
                (30_000, hung_up()),
            ),
            "out of the queue": a_call(
                BOTH_WAYS,
                sent("enqueue"),
                answered("enqueue"),
                (9_000, hook("call.dequeued", reason="timeout")),
                (30_000, hung_up()),
            ),
        },
        quiet={
            "busy, and the program spoke": a_call(
                BOTH_WAYS,
                *_ASKED,
                _B_RINGS,
                (4_000, of_b("call.hangup", hangup_cause="user_busy")),
                (4_200, sent("speak")),
                answered("speak"),
                (30_000, hung_up()),
            ),
            "busy, and the handler's own audio went on": a_call(
                BOTH_WAYS,
                *_ASKED,
                _B_RINGS,
                (4_000, of_b("call.hangup", hangup_cause="user_busy")),
                (9_000, counted(frames_out=400)),
                (30_000, hung_up()),
            ),
            "busy, and the next number": a_call(
                BOTH_WAYS,
                *_ASKED,
                _B_RINGS,
                (4_000, of_b("call.hangup", hangup_cause="user_busy")),
                (4_100, sent("transfer")),
                answered("transfer"),
                (30_000, hung_up()),
            ),
            "both hung up": a_call(
                BOTH_WAYS, *_TALKED, (30_000, of_b("call.hangup", hangup_cause="normal_clearing")), (30_010, hung_up())
            ),
            "the caller left at once": a_call(
                BOTH_WAYS, *_ASKED, _B_RINGS, (4_000, of_b("call.hangup", hangup_cause="user_busy")), (6_000, hung_up())
            ),
        },
    ),
    Cause.of(
        "call",
        voicemail_took_it,
        code="CALL102",
        slug="voicemail-answered-the-transfer",
        title="A voicemail answered the transfer, and the caller was joined with it",
        owner="you",
        why="Telnyx joins the two when the other phone is answered, and does not wait for answering machine detection: a "
        "voicemail that answers gets the caller. Its verdict comes a few seconds later, and only if it was asked for.",
        fix='result = await call.transfer(NUMBER, detect="premium")\n'
        'if result.status == "voicemail":  # the other leg is hung up, the caller is back\n'
        '    await call.speak("Nobody is there.")',
        named={
            "a machine that was let talk": a_call(
                BOTH_WAYS, *_ASKED, *_B_UP, of_b("call.machine.detection.ended", result="machine"), (30_000, hung_up())
            ),
        },
        quiet={
            "it was hung up at once": a_call(
                BOTH_WAYS,
                *_ASKED,
                *_B_UP,
                (4_000, of_b("call.machine.detection.ended", result="machine")),
                (4_300, of_b("call.hangup", hangup_cause="normal_clearing")),
                sent("speak"),
                answered("speak"),
                (30_000, hung_up()),
            ),
            "a person": a_call(
                BOTH_WAYS, *_ASKED, *_B_UP, of_b("call.machine.detection.ended", result="human"), (30_000, hung_up())
            ),
        },
    ),
    Cause.of(
        "call",
        cut_by_hangup,
        code="CALL103",
        slug="transfer-cut-by-hangup",
        title="The program hung the caller up in the middle of a transfer",
        owner="you",
        why="The stream and the transfer are on the same leg. A hangup of it is not the bot's leaving: it ends the "
        "transferred "
        "call, and while the other phone rings it cancels both.",
        fix="Leave with streaming_stop instead of hangup: curl -X POST "
        'https://api.telnyx.com/v2/calls/CALL_CONTROL_ID/actions/streaming_stop -H "Authorization: Bearer $TELNYX_API_KEY" '
        "-d '{}'. callpath does so by itself: await call.transfer(NUMBER), then return.",
        named={
            "while it rang": a_call(
                BOTH_WAYS,
                *_ASKED,
                _B_RINGS,
                sent("hangup"),
                answered("hangup"),
                hung_up(source="callee"),
                of_b("call.hangup", hangup_cause="originator_cancel"),
            ),
            "as soon as it was answered": a_call(
                BOTH_WAYS,
                *_ASKED,
                *_B_UP,
                sent("hangup"),
                answered("hangup"),
                hung_up(source="callee"),
                of_b("call.hangup", hangup_cause="normal_clearing"),
            ),
        },
        quiet={
            "after they had talked": a_call(
                BOTH_WAYS, *_TALKED, (60_000, sent("hangup")), answered("hangup"), hung_up(source="callee")
            ),
            "after the other one had left": a_call(
                BOTH_WAYS,
                *_ASKED,
                _B_RINGS,
                of_b("call.hangup", hangup_cause="user_busy"),
                sent("speak"),
                answered("speak"),
                sent("hangup"),
                answered("hangup"),
                hung_up(source="callee"),
            ),
        },
    ),
    Cause.of(
        "call",
        ended_by_conference,
        code="CALL104",
        slug="conference-ended-its-creator",
        title="Ending the conference hung up the leg that had created it",
        owner="you",
        why="A conference belongs to the leg that created it. When it is ended, Telnyx hangs that leg up with cause "
        "time_limit, "
        "even where it has left the conference long before, for a bridge or a transfer.",
        fix="Do not end such a conference: let its participants leave (POST /v2/conferences/ID/actions/leave), and it "
        "ends by "
        "itself. Or create it from the leg that stays to the end.",
        named={
            "ended by command": a_call(
                BOTH_WAYS,
                hook("conference.created"),
                sent("bridge"),
                answered("bridge"),
                (20_000, hook("conference.ended")),
                (20_050, hung_up("time_limit", "unknown")),
            ),
        },
        quiet={
            "a call that reached its own limit": a_call(
                HEARD,
                sent("speak"),
                answered("speak"),
                (3_600_000, hung_up("time_limit", "unknown")),
                looked_ms=3_700_000,
            ),
            "a conference that ended by itself": a_call(
                BOTH_WAYS, hook("conference.created"), (20_000, hung_up()), hook("conference.ended", reason="all_left")
            ),
        },
        winners={},
    ),
    Cause.of(
        "call",
        bridge_refused(CALL_HAS_ENDED),
        code="CALL105",
        slug="bridge-to-a-dead-leg",
        title="The call was to be joined with a leg that is gone",
        owner="you",
        why="Between the answer and the bridge the other party may hang up, and a call_control_id can change at the "
        "answer: the "
        "id of call.answered counts, not that of the dial's response.",
        fix="Take the call_control_id from the other leg's call.answered, and send bridge right after it; on 90018 go on "
        "with "
        "the caller. callpath does both: await call.consult(NUMBER), or await call.transfer(NUMBER).",
        named={
            "the other leg had hung up": a_call(
                BOTH_WAYS, sent("bridge"), answered("bridge", 422, "90018"), (20_000, hung_up())
            ),
        },
        quiet={
            "our caller had hung up": a_call(BOTH_WAYS, hung_up(), sent("bridge"), answered("bridge", 422, "90018")),
            "joined": a_call(BOTH_WAYS, sent("bridge"), answered("bridge"), (20_000, hung_up())),
        },
    ),
    Cause.of(
        "call",
        bridge_refused("90034"),
        code="CALL106",
        slug="bridge-before-answer",
        title="The call was to be joined with a leg that is not answered yet",
        owner="you",
        why="Both legs of a bridge must be answered. Right after call.answered Telnyx may still refuse it for a moment.",
        fix="Send bridge after the other leg's call.answered, and once more 300 ms later where Telnyx says 90034. Or "
        "dial with "
        "link_to and bridge_on_answer: true, which needs no bridge command.",
        named={
            "it still rang": a_call(BOTH_WAYS, sent("bridge"), answered("bridge", 422, "90034"), (20_000, hung_up())),
        },
        quiet={
            "the second try worked": a_call(
                BOTH_WAYS,
                sent("bridge"),
                answered("bridge", 422, "90034"),
                sent("bridge"),
                answered("bridge"),
                (20_000, hung_up()),
            ),
        },
    ),
    Cause.of(
        "call",
        refer_failed,
        code="CALL107",
        slug="refer-refused",
        title="The other side refused the SIP REFER",
        owner="far end",
        why="A referral asks the caller's own phone or PBX to call elsewhere. Phones behind the public network do not "
        "take it, "
        "and a PBX has to allow it (405: not allowed).",
        fix="await call.transfer(NUMBER) works with every caller: Telnyx dials, and the caller's phone has nothing to do.",
        named={
            "not allowed": a_call(
                BOTH_WAYS,
                sent("refer"),
                answered("refer"),
                hook("call.refer.failed", sip_notify_response=405),
                (20_000, hung_up()),
            ),
        },
        quiet={
            "taken": a_call(
                BOTH_WAYS,
                sent("refer"),
                answered("refer"),
                hook("call.refer.completed", sip_notify_response=200),
                hung_up(),
            ),
        },
    ),
    Cause.of(
        "call",
        silenced_by_monitor,
        code="CALL108",
        slug="conference-monitor-silences",
        title="A monitor in the conference may have silenced the others",
        owner="Telnyx",
        why="The conference role monitor stopped all audio of the others while it lasted, in one program's experience.",
        fix="Join the listener with mute: true and supervisor_role: none: he hears everybody, and nobody hears him.",
        named={
            "a silent listener": a_call(
                BOTH_WAYS, sent("join", supervisor_role="monitor"), answered("join"), (20_000, hung_up())
            ),
        },
        quiet={"a muted one": a_call(BOTH_WAYS, sent("join", mute=True), answered("join"), (20_000, hung_up()))},
    ),
    Cause.of(
        "call",
        texml_owns_the_leg,
        code="CALL109",
        slug="texml-owns-the-leg",
        title="A TeXML document may have ended the transferred call",
        owner="you",
        why="transfer does not take the leg from its document. When <Connect> ends, the next verb runs; at the end of "
        "the document "
        "Telnyx hangs up, 60 to 72 s after the transfer in one program's calls.",
        fix="Transfer in TeXML itself, with <Dial>NUMBER</Dial> as the verb after <Connect>; or serve the number by a "
        "Call Control "
        "application: callpath doctor account --number NUMBER shows which one it is.",
        named={
            "cut after a minute": a_call(
                _WITHOUT_COMMANDS,
                sent("transfer"),
                answered("transfer"),
                (65_000, hung_up(source="callee")),
                looked_ms=90_000,
            ),
        },
        quiet={
            "a call of Call Control": a_call(BOTH_WAYS, *_TALKED, (65_000, hung_up(source="callee")), looked_ms=90_000),
        },
    ),
    Cause.of(
        "call",
        cut_by_detection,
        code="CALL110",
        slug="speech-cut-by-detection",
        title="Answering machine detection cut off what Telnyx was speaking",
        owner="you",
        why="While detection runs, a speak, playback or gather can be ended with cancelled_amd: the callee hears the "
        "beginning.",
        fix="Wait for the verdict before you speak: who = await call.detected(within_s=4).",
        named={
            "a message that was cut": a_call(
                HEARD,
                sent("speak"),
                answered("speak"),
                hook("call.speak.ended", status="cancelled_amd"),
                (9_000, hung_up()),
            ),
        },
        quiet={"spoken to its end": a_call(HEARD, hook("call.speak.ended", status="completed"), (9_000, hung_up()))},
    ),
    Cause.of(
        "call",
        playback_failed,
        code="CALL111",
        slug="playback-failed",
        title="Telnyx could not play the file",
        owner="you",
        why="Telnyx fetches the file itself, when the command is carried out: an address that needs a login, leads "
        "nowhere, or is "
        "no MP3 or WAV plays nothing, and the command is accepted all the same.",
        fix="curl -sI AUDIO_URL from another network has to answer 200 with audio/mpeg or audio/wav; then send "
        "playback_start "
        'again. Or play it from the handler: await call.play("file.wav").',
        named={
            "not found": a_call(
                HEARD,
                sent("playback_start"),
                answered("playback_start"),
                hook("call.playback.ended", status="file_not_found"),
                (9_000, hung_up()),
            ),
        },
        quiet={
            "played": a_call(
                HEARD,
                sent("playback_start"),
                answered("playback_start"),
                hook("call.playback.ended", status="completed"),
                (9_000, hung_up()),
            ),
        },
    ),
    Cause.of(
        "call",
        command_refused,
        code="CALL112",
        slug="command-refused",
        title="Telnyx refused a command",
        owner="you",
        why="The call itself works; what was asked for in the middle of it was not carried out. Telnyx's own words are "
        "above.",
        fix='Send the command as Telnyx\'s words ask. callpath checks its own before they go out: await call.speak("…"), '
        "await call.gather(max_digits=4).",
        named={
            "a voice that does not exist": a_call(
                BOTH_WAYS,
                sent("speak"),
                answered("speak", 422, "90012", "Invalid value for voice"),
                (20_000, hung_up()),
            ),
            "a full queue": a_call(BOTH_WAYS, sent("enqueue"), answered("enqueue", 422, "90036"), (20_000, hung_up())),
            "a conference that is over": a_call(
                BOTH_WAYS, sent("join"), answered("join", 422, "90019"), (20_000, hung_up())
            ),
            "a supervisor's leg": a_call(
                BOTH_WAYS,
                sent("speak"),
                answered("speak", 422, None, "Supervisor calls do not support commands"),
                (20_000, hung_up()),
            ),
        },
        quiet={
            "the call was over": a_call(GOOD, sent("speak"), answered("speak", 422, "90018")),
            "done already": a_call(
                BOTH_WAYS,
                sent("transcription_start"),
                answered("transcription_start", 422, "90054"),
                (20_000, hung_up()),
            ),
            "the second try worked": a_call(
                BOTH_WAYS,
                sent("speak"),
                answered("speak", 422, "90012"),
                sent("speak"),
                answered("speak"),
                (20_000, hung_up()),
            ),
        },
    ),
)
