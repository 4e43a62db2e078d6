"""How a call went, in one sentence that is true: facts in, `Verdict` out. Pure.

Start at `judge`. It asks what happened last and decisively: whether the caller heard something, then why not, stage by
stage from the end of the call back to its beginning. What went wrong on the way and was made good again is a note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from callpath.audio.codec import open_decoder
from callpath.audio.level import guess_encoding
from callpath.call.refused import d_code_in, explain_refusal
from callpath.errors import AudioError
from callpath.simulator.call import EndedBy, State
from callpath.simulator.carrier import PACKET_MS, StreamCounters, StreamRequest
from callpath.simulator.ear import Hearing
from callpath.simulator.options import CarrierOptions
from callpath.simulator.seen import CommandSeen, DocumentSeen, RequestSeen, SocketEnd, WebhookSeen, without_query
from callpath.wire.api import ApiError

Outcome = Literal["ok", "failed", "unreachable", "silent", "inconclusive"]
"""`failed`: a stage was not reached. `silent`: audio was expected, and nothing, or only noise, was heard.
`inconclusive`: it depends on something that this simulator does not have, or that Telnyx leaves open."""

NOISE_SHARE_MIN = 0.7
"""From this share of flat spectra on, what was heard is noise. Speech has at most 0.3, noise 0.95 and more."""

WAITING_MS_MAX = 500.0
"""More audio than this in the queue was meant to be heard."""

CHOPPY_SHARE_MAX = 0.75
"""Less audio than this part of the time in which it came cannot be played without gaps."""

NOTES_MAX = 12

SERVES = {
    "speak",
    "playback_start",
    "gather",
    "gather_using_speak",
    "gather_using_audio",
    "transfer",
    "bridge",
    "conference create",
    "conversation_relay_start",
    "conference join",
    "fork_start",
    "record_start",
    "transcription_start",
    "send_dtmf",
}
"""Commands by which a program serves a caller without a media stream of its own."""

ENDS = {"hangup", "reject", "transfer", "bridge"}
"""Commands after which a closed socket is part of the plan."""

GRACEFUL = {1000, 1001, 1005}
"""Close codes of a program that has finished."""

CODE_NAMES = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no code given",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1010: "extension missing",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}
"""RFC 6455 (7.4.1) and IANA's registry."""


CODES = {
    "ok": "every stage was reached",
    "served-without-stream": "Telnyx itself spoke, listened or connected the call for the program",
    "turned-away-as-asked": "the program dialled, and was turned away as the plan says: busy, not answered, or refused",
    "no-webhook": "the account leads the number to no active application",
    "webhook-pending": "the webhook was still on its way",
    "webhook-unreachable": "nobody answers at the webhook's address",
    "webhook-too-slow": "the webhook got no answer in time",
    "webhook-http-N": "the webhook was answered with this HTTP status",
    "no-answer-command": "the program took the call, and did not answer it",
    "turned-down": "the program rejected the call",
    "too-slow": "the command that was missing came after the caller had hung up",
    "command-refused": "Telnyx refuses the command",
    "wrong-key": "the API key, or the header that carries it, is wrong",
    "wrong-path": "the request went to a path that the API does not have",
    "wrong-call-id": "the id in the path is no call's",
    "rate-limited": "the API refused a request because there were too many",
    "injected-api-fault": "an injected fault of the API, and the program did not retry",
    "not-simulated": "the program asked for what the simulator does not have",
    "texml-unreachable": "the TeXML document could not be fetched",
    "texml-status": "the TeXML document was answered with an HTTP status",
    "texml-unusable": "the TeXML document is no XML, or no TeXML",
    "texml-refused": "the TeXML document asks for what Telnyx refuses",
    "texml-no-answer": "the TeXML document did not answer the call",
    "texml-no-stream": "the TeXML document ended the call without a stream or a word",
    "nothing-dialled": "no dial came",
    "not-picked-up": "the dialled party did not answer",
    "hung-up-while-ringing": "the program hung up while the phone was ringing",
    "hung-up-without-stream": "the program hung up after the answer, without a stream",
    "no-stream-asked-for": "the call was answered, and no stream was asked for",
    "no-stream-in-time": "no stream was open in time (load)",
    "not-opened": "the media WebSocket could not be opened",
    "not-opened-in-time": "the media WebSocket was still being opened when the call ended",
    "still-opening": "the media WebSocket is being opened",
    "closed-N": "the program closed the media WebSocket with this close code",
    "closed-by-simulator-N": "the simulator closed the media WebSocket, because the program broke RFC 6455",
    "dropped": "the connection broke off without a close frame",
    "cut-by-fault": "an injected fault ended the media WebSocket",
    "replaced-by-fork": "fork_start replaced the stream",
    "stopped-by-program": "streaming_stop came before the caller heard anything",
    "ended-early": "the program ended the call, or its stream, early (load)",
    "binary-frames": "audio came as binary messages",
    "rtp-headers": "the payload has RTP headers",
    "raw-audio-in-mp3-mode": "raw audio in mp3 mode",
    "mp3-not-decoded": "an MP3 could not be decoded",
    "mp3-too-often": "more than one MP3 a second",
    "queue-full": "more audio than the playback queue takes",
    "opposite-legs": "target legs is opposite, and the call has one leg",
    "still-queued": "the audio was still waiting when the stream ended",
    "frames-refused-N": "frames were refused with this error code",
    "wrong-encoding-N": "the payload holds this, and not the codec of the stream",
    "undecodable": "the payload cannot be decoded as the codec of the stream",
    "short-chunks": "messages of less than 20 ms, with gaps between them",
    "silent": "audio was expected, and nothing was heard",
    "noise": "audio was expected, and only noise was heard",
    "wrong-sample-rate": "the audio plays too fast or too slow",
    "step-failed": "a step of the plan failed",
}
"""Code → what it means. N stands for a number or a name. Codes are permanent: programs compare with them."""

_FAMILIES = tuple(code.removesuffix("N") for code in CODES if code.endswith("-N"))


def code_family(code: str) -> str:
    """The row of CODES that a code belongs to."""
    if code in CODES:
        return code
    found = max((family for family in _FAMILIES if code.startswith(family)), key=len, default="")
    return f"{found}N" if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """One media stream of a call."""

    request: StreamRequest
    counters: StreamCounters
    failed: str | None
    """Why its socket could not be opened."""
    end: SocketEnd | None
    stop_reason: str
    received: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """All that is known of one call when it is judged. Times are the clock's milliseconds."""

    now_ms: float
    began_at_ms: float
    outbound: bool
    state: State
    answered_at_ms: float | None
    ended_at_ms: float | None
    ended_by: EndedBy | None
    hangup_cause: str | None
    webhooks: Sequence[WebhookSeen]
    commands: Sequence[CommandSeen]
    requests: Sequence[RequestSeen]
    documents: Sequence[DocumentSeen]
    skipped_verbs: Sequence[str]
    """TeXML verbs that the simulator does not have."""
    dials: Sequence[str]
    streams: Sequence[StreamFacts]
    options: CarrierOptions
    expect_audio: bool = False
    hearing: Hearing | None = None
    """What the ear measured. None: it was not asked, and noise and silence are not judged."""

    @property
    def accepted(self) -> list[CommandSeen]:
        return [one for one in self.commands if one.status == 200]

    @property
    def refused(self) -> list[CommandSeen | RequestSeen]:
        """Commands that were refused, and requests that reached no call, in their order."""
        turned: list[CommandSeen | RequestSeen] = [
            one for one in self.commands if one.status != 200 and one not in self.late
        ]
        return sorted([*turned, *self.requests], key=lambda one: one.at_ms)

    @property
    def late(self) -> list[CommandSeen]:
        """Commands that were refused only because the call was over."""
        if self.ended_at_ms is None or self.ended_by == "program":
            return []
        return [one for one in self.commands if "90018" in one.codes and one.at_ms >= self.ended_at_ms]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a call went. `code` is stable, for programs; `notes` are true too, and decided nothing."""

    code: str
    sentence: str
    outcome: Outcome = "ok"
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        assert code_family(self.code), f"{self.code} is not in CODES"

    @property
    def failure(self) -> str | None:
        """The sentence, where the call is not all right."""
        return None if self.outcome == "ok" else self.sentence


def judge(facts: CallFacts) -> Verdict:
    """What became of the call."""
    if facts.answered_at_ms is None:
        found = _unanswered(facts)
    elif not facts.streams:
        found = _without_stream(facts)
    else:
        found = _of_stream(facts)
    notes = [
        note
        for note in _notes(facts, found.code)
        if note.removeprefix("The request ").rstrip(".") not in found.sentence
    ]
    return Verdict(code=found.code, sentence=found.sentence, outcome=found.outcome, notes=tuple(notes[:NOTES_MAX]))


def _failed(code: str, sentence: str, outcome: Outcome = "failed") -> Verdict:
    return Verdict(code=code, sentence=sentence, outcome=outcome)


# --- before the answer ------------------------------------------------------------------------------------------------


def _unanswered(facts: CallFacts) -> Verdict:
    if facts.outbound:
        return _dialled(facts)
    if facts.ended_by == "program":
        how = next((one for one in reversed(facts.accepted) if one.name in ("reject", "hangup")), None)
        if how is not None and not how.by_texml:
            cause = f" ({how.document['cause']})" if how.document.get("cause") else ""
            return _failed("turned-down", f"The program turned the call down with {how.name}{cause}.")
    if facts.documents:
        return _texml_unanswered(facts)
    initiated = _first(facts.webhooks, "call.initiated")
    if (slow := _too_slow(facts, "The call was not answered", "answer")) is not None:
        return slow
    answering = [one for one in facts.refused if one.name == "answer"] or facts.refused
    if answering:
        last = answering[-1]
        return _refused_verdict(facts, last, "The call was not answered")
    if initiated is None:
        return _failed(
            "no-webhook",
            "The call was not answered: no webhook was sent, because the account leads this number to no active "
            "application.",
        )
    if not initiated.delivered and not facts.commands:
        return _undelivered(initiated, "The call was not answered")
    if facts.commands:
        names = _listed(one.name for one in facts.commands)
        return _failed("no-answer-command", f"The call was not answered: the program sent {names}, but no answer.")
    also = f" It dialled {_listed(facts.dials)} instead." if facts.dials else ""
    took = initiated.statuses[-1] if initiated.statuses else None
    return _failed(
        "no-answer-command",
        f"The call was not answered: the program took the webhook call.initiated (HTTP {took}), but sent no answer "
        f"command, and no other request to the API.{also or ' Does it use the TELNYX_API_BASE of the simulator?'}",
    )


def _dialled(facts: CallFacts) -> Verdict:
    if facts.ended_by == "program":
        return _failed("hung-up-while-ringing", "The program hung up while the phone was still ringing.")
    cause = "it is still ringing" if facts.state != "ended" else facts.hangup_cause or "the call ended"
    return _failed("not-picked-up", f"The dialled party did not answer: {cause}.")


def _texml_unanswered(facts: CallFacts) -> Verdict:
    last = facts.documents[-1]
    url = without_query(last.url)
    if last.problem:
        if last.status is None:
            return _failed(
                "texml-unreachable", f"The TeXML at {url} could not be fetched: {_stop(last.problem)}", "unreachable"
            )
        kind = "texml-status" if last.problem.startswith("HTTP") else "texml-unusable"
        what = "answered" if kind == "texml-status" else "cannot be used:"
        return _failed(kind, f"The call was not answered: the TeXML at {url} {what} {_stop(last.problem)}")
    refused = [one for one in facts.commands if one.status != 200]
    if facts.skipped_verbs:
        return _skipped(facts, "The call was not answered")
    if refused:
        return _failed("texml-refused", f"The call was not answered: the TeXML asks for {_refusal(refused[-1])}.")
    done = _listed(one.name for one in facts.accepted)
    asked = f": it asked for {done}" if done else ""
    return _failed("texml-no-answer", f"The TeXML at {url} did not answer the call{asked}.")


def _skipped(facts: CallFacts, what: str) -> Verdict:
    return _failed(
        "not-simulated",
        f"{what}, and nothing can be said about the program: its TeXML uses {_listed(facts.skipped_verbs)}, which this "
        "simulator does not have.",
        "inconclusive",
    )


def _undelivered(seen: WebhookSeen, what: str) -> Verdict:
    """A webhook that the program did not take."""
    url, tries = without_query(seen.url), len(seen.attempts)
    if not seen.attempts:
        return _failed("webhook-pending", f"{what}: the webhook {seen.event_type} is still on its way to {url}.")
    status = seen.statuses[-1]
    times = f" ({tries} attempts)" if tries > 1 else ""
    if status is None:
        problem = seen.problems[-1] if seen.problems else "no answer"
        answered = any(one is not None for one in seen.statuses)
        late = problem.startswith("no answer within")
        return _failed(
            "webhook-too-slow" if late else "webhook-unreachable",
            f"{what}: the webhook {seen.event_type} was not taken by {url}: {problem}{times}.",
            "failed" if answered or late else "unreachable",
        )
    hints = {
        401: ". If the program checks signatures, does it have this simulator's TELNYX_PUBLIC_KEY?",
        403: ". If the program checks signatures, does it have this simulator's TELNYX_PUBLIC_KEY?",
        404: ". Is the path right?",
        405: ". Is the path right, and does it take POST?",
        422: ". The program could not read the event",
    }
    hint = hints.get(status, "")
    end = "" if hint.endswith("?") else "."
    return _failed(
        f"webhook-http-{status}",
        f"{what}: {url} answered the webhook {seen.event_type} with HTTP {status}{times}{hint}{end}",
    )


def _refused_verdict(facts: CallFacts, one: CommandSeen | RequestSeen, what: str) -> Verdict:
    """A request that was refused, as the cause."""
    return _cause(one, _times(facts, one), what)


def _too_slow(facts: CallFacts, what: str, name: str) -> Verdict | None:
    """The command that was missing came, but after the call had ended."""
    late = [one for one in facts.late if one.name == name]
    if not late or facts.ended_at_ms is None:
        return None
    waited_ms = facts.ended_at_ms - (facts.answered_at_ms or facts.began_at_ms)
    since = "the answer" if facts.answered_at_ms is not None else "the call came in"
    slow = [one for one in facts.webhooks if any("no answer within" in problem for problem in one.problems)]
    why = f" The program answered the webhook {slow[0].event_type} too late." if slow else ""
    return _failed(
        "too-slow",
        f"{what} in time: {name} came {_seconds(late[0].at_ms - facts.ended_at_ms)} after the caller had hung up, who had "
        f"waited {_seconds(waited_ms)} since {since}.{why}",
    )


def _times(facts: CallFacts, one: CommandSeen | RequestSeen) -> int:
    return sum((other.name, other.status, other.codes) == (one.name, one.status, one.codes) for other in facts.refused)


def _cause(one: CommandSeen | RequestSeen, times: int, what: str) -> Verdict:
    often = f" ({times} times)" if times > 1 else ""
    if one.status == 501:
        name = one.name
        return _failed(
            "not-simulated",
            f"{what}, and nothing can be said about the program: it asked for {name}, which Telnyx has and this simulator "
            f"does not (501 Not simulated){often}.",
            "inconclusive",
        )
    code = {401: "wrong-key", 404: "wrong-path", 429: "rate-limited"}.get(one.status, "command-refused")
    if isinstance(one, RequestSeen) and one.injected:
        code = "injected-api-fault"
    elif "90015" in one.codes:
        code = "wrong-call-id"
    return _failed(code, f"{what}: {_refusal(one)}{often}.")


def nothing_dialled(refused: Sequence[RequestSeen], within_ms: float) -> Verdict:
    """An outbound call was waited for, and none came. `refused`: what the API turned away in that time."""
    what = f"Nothing was dialled within {_seconds(within_ms)}"
    if not refused:
        return _failed(
            "nothing-dialled",
            f"{what}, and no request was turned away. Does the program use this simulator's API base and key?",
        )
    last = ([one for one in refused if one.name == "dial"] or [*refused])[-1]
    times = sum((one.name, one.status, one.codes) == (last.name, last.status, last.codes) for one in refused)
    return _cause(last, times, what)


# --- answered, and no stream ------------------------------------------------------------------------------------------


def _without_stream(facts: CallFacts) -> Verdict:
    answered_at_ms = facts.answered_at_ms or 0.0
    after = [one for one in facts.refused if one.at_ms >= answered_at_ms]
    if served := _serving(facts):
        return _served(facts, served)
    if (slow := _too_slow(facts, "The call was answered, but no stream was started", "streaming_start")) is not None:
        return slow
    streaming = [one for one in facts.refused if one.name == "streaming_start"]
    candidates = streaming or after
    event = _first(facts.webhooks, "call.answered")
    if candidates:
        return _refused_verdict(facts, candidates[-1], "The call was answered, but no stream was started")
    if event is not None and not event.delivered and event.attempts:
        return _undelivered(event, "The call was answered, but no stream was started")
    if facts.ended_by == "program":
        after_s = _seconds((facts.ended_at_ms or 0.0) - answered_at_ms)
        if facts.skipped_verbs:
            return _skipped(facts, "The call was answered, but no stream was started")
        if facts.documents:
            return _failed("texml-no-stream", "The TeXML ended the call without a stream, and without saying anything.")
        return _failed(
            "hung-up-without-stream",
            f"The program hung up {after_s} after the answer, without asking for a stream.",
        )
    with_what = "dial" if facts.outbound else "answer"
    before = f"; before the answer, {_refusal(facts.refused[-1])}" if facts.refused else ""
    took = ""
    if event is not None and event.delivered:
        took = f" The program took call.answered (HTTP {event.statuses[-1]}) and sent no command after it."
        if later := [one for one in facts.accepted if one.at_ms > answered_at_ms]:
            took = f" After call.answered it sent {_listed(one.name for one in later)}."
    also = f" It dialled {_listed(facts.dials)}." if facts.dials else ""
    return _failed(
        "no-stream-asked-for",
        f"The call was answered, but nobody asked for a stream (no streaming_start, no stream_url in {with_what}{before})."
        f"{took}{also}",
    )


def _serving(facts: CallFacts) -> list[str]:
    served = [one.name for one in facts.accepted if one.name in SERVES]
    # A dial with link_to joins this leg without a command on it.
    return served or ["dial and bridge"] * any(seen.event_type == "call.bridged" for seen in facts.webhooks)


def _served(facts: CallFacts, served: Sequence[str]) -> Verdict:
    heard_ms = facts.hearing.heard_ms if facts.hearing is not None else None
    ended = _ended_by_program(facts)
    if facts.expect_audio and heard_ms == 0:
        return _failed(
            "silent",
            f"The program used {_listed(served)} and no stream, but the caller heard nothing{ended}.",
            "silent",
        )
    return Verdict(
        code="served-without-stream",
        sentence=f"No stream was asked for: Telnyx itself spoke, listened or connected the call for the program "
        f"({_listed(served)}){ended}.",
    )


# --- with a stream ----------------------------------------------------------------------------------------------------


def _of_stream(facts: CallFacts) -> Verdict:
    stream = facts.streams[-1]
    if stream.counters.upgraded_at_ms is None:
        return _not_opened(facts, stream)
    ears = [*reversed(facts.streams)]
    played = sum(one.counters.packets_played for one in ears)
    if (lost := _lost(facts, stream)) is not None:
        return lost
    if not played:
        if stream.stop_reason == "fork_start":
            return _failed(
                "replaced-by-fork",
                f"fork_start stopped the media stream {_age(stream)} after its socket opened: Telnyx replaces the stream "
                f"by the fork, so the caller heard nothing from the WebSocket.",
            )
        for one in ears:
            if (unheard := _unheard(one)) is not None:
                return unheard
        if stream.stop_reason == "streaming_stop" and facts.expect_audio:
            return _failed(
                "stopped-by-program",
                f"The program stopped the stream with streaming_stop {_age(stream)} after its socket opened, before the "
                "caller heard anything.",
                "silent",
            )
    for one in ears:
        if one.counters.packets_played and (wrong := _wrong_encoding(facts, one)) is not None:
            return wrong
    if (short := _short_chunks(facts)) is not None:
        return short
    if facts.hearing is not None and facts.expect_audio and (silent := _not_speech(facts, facts.hearing)) is not None:
        return silent
    heard = ""
    if facts.hearing is not None and not facts.hearing.heard_ms:
        heard = f", but {_quiet(facts)}"
    return Verdict(code="ok", sentence=f"Every stage was reached{heard}{_ended_by_program(facts)}.")


def _not_opened(facts: CallFacts, stream: StreamFacts) -> Verdict:
    before = facts.streams[-2] if len(facts.streams) > 1 else None
    again = ""
    if before is not None and before.end is not None:
        again = f" (opened again after {_how_it_ended(before)})"
    url = without_query(stream.request.url)
    if stream.failed is None:
        waiting_ms = (facts.ended_at_ms or facts.now_ms) - (facts.answered_at_ms or facts.began_at_ms)
        if facts.ended_at_ms is None:
            return _failed("still-opening", f"The media WebSocket was not opened: {url} is still being tried{again}.")
        who = {"program": "the program hung up", "party": "the caller hung up"}.get(
            facts.ended_by or "", "the call ended"
        )
        return _failed(
            "not-opened-in-time",
            f"The media WebSocket was not opened: {url} was still being tried when {who}, {_seconds(waiting_ms)} after the "
            f"answer{again}.",
        )
    goes_on = [one.name for one in facts.accepted if one.name in SERVES]
    then = f"; the program went on with {_listed(goes_on)}" if goes_on else ""
    return _failed("not-opened", f"The media WebSocket was not opened: {stream.failed}{again}{then}.")


def _lost(facts: CallFacts, stream: StreamFacts) -> Verdict | None:
    """The socket ended before the call, and not by the simulator's doing."""
    end = stream.end
    if end is None or (end.by == "simulator" and stream.stop_reason):
        return None
    if facts.ended_at_ms is not None and end.at_ms >= facts.ended_at_ms:
        return None
    if end.by == "fault":
        return _failed("cut-by-fault", f"The media WebSocket was lost: {_how_it_ended(stream)}.")
    goes_on = [one.name for one in facts.accepted if one.at_ms >= end.at_ms - 1_000 and one.name in ENDS | SERVES]
    planned = end.by == "program" and end.code in GRACEFUL and (goes_on or _stopped(facts, end))
    if planned:
        return None
    then = ""
    if facts.ended_by == "program":
        then = f"; then the program hung up, {_seconds((facts.ended_at_ms or 0.0) - end.at_ms)} later"
    code = {
        "program": f"closed-{end.code}",
        "nobody": "dropped",
        "simulator": f"closed-by-simulator-{end.code}",
        "fault": "cut-by-fault",
    }[end.by]
    return _failed(code, f"The media WebSocket was lost: {_how_it_ended(stream)}{then}.")


def _stopped(facts: CallFacts, end: SocketEnd) -> bool:
    return any(one.name == "streaming_stop" and abs(one.at_ms - end.at_ms) < 2_000 for one in facts.commands)


def _how_it_ended(stream: StreamFacts) -> str:
    end = stream.end
    assert end is not None, "asked before"
    when = f"{_age(stream)} after it opened"
    if not stream.counters.frames_out:
        when = f"{when}, before the first audio frame of the caller"
    name = CODE_NAMES.get(end.code or 0, "the program's own code" if (end.code or 0) >= 3000 else "")
    number = f"{end.code} ({name})" if name else f"{end.code}"
    reason = f", reason {end.reason!r}" if end.reason else ""
    match end.by:
        case "program":
            return f"the program closed it {when} with close code {number}{reason}"
        case "simulator":
            return (
                f"the simulator closed it {when} with close code {number}{reason}, because the program broke RFC 6455"
            )
        case "fault":
            return f"the injected fault {end.reason} ended it {when}"
        case _:
            return (
                f"the connection broke off {when} without a close frame (1006): the program, or a proxy in front of it, "
                "dropped it"
            )


def _unheard(stream: StreamFacts) -> Verdict | None:
    """Messages came, and none reached the ear: which reason took the most of them?"""
    counters = stream.counters
    reasons: Counter[str] = Counter(counters.unheard)
    if counters.packets_opposite:
        reasons["opposite"] += max(1, counters.queued_in)
    elif counters.queued_in and not counters.packets_played:
        reasons["waiting"] += counters.queued_in
    if not reasons:
        return None
    reason, times = reasons.most_common(1)[0]
    total = (
        counters.frames_in
        + counters.binary_in
        + sum(count for name, count in counters.unheard.items() if name.startswith(("100003", "100004")))
    )
    if times == 1 and total <= 1:
        of, are, have = "its only message", "is", "has"
    else:
        of, are, have = f"{times} of {total} messages" if times < total else f"all {times} messages", "are", "have"
    was = "was" if are == "is" else "were"
    said = "The program sent audio, but nothing was heard:"
    match reason:
        case "binary":
            return _failed(
                "binary-frames", f"{said} {of} came as binary messages, which Telnyx drops silently. Send JSON texts."
            )
        case "rtp_header":
            return _failed(
                "rtp-headers",
                f"{said} {of} {have} a 12-byte RTP header in the payload, and Telnyx plays no such message. Send the "
                "payload without the header.",
            )
        case "mp3_mode":
            return _failed(
                "raw-audio-in-mp3-mode",
                f"{said} stream_bidirectional_mode is mp3 (the default), and {of} {are} no MP3 and not played. Set "
                "the mode to rtp, or send MP3.",
            )
        case "mp3_not_decoded":
            return _failed(
                "mp3-not-decoded",
                f"{said} {of} could not be decoded as MP3 (broken, or PyAV is not installed here).",
                "inconclusive",
            )
        case "mp3_too_often":
            return _failed("mp3-too-often", f"{said} mp3 mode takes one message a second, and more came (100005).")
        case "queue_full":
            return _failed("queue-full", f"{said} more audio was waiting than the queue takes.")
        case "opposite":
            return _opposite(stream)
        case "waiting":
            return _failed(
                "still-queued",
                f"{said} it was still waiting in the queue when the stream ended ({counters.queued_in} messages).",
            )
        case _:
            code, _, problem = reason.partition(": ")
            return _failed(f"frames-refused-{code}", f"{said} {of} {was} refused with {code}: {problem}.")


def _opposite(stream: StreamFacts) -> Verdict:
    given = "opposite, the default" if stream.request.target_legs == "opposite" else stream.request.target_legs
    return _failed(
        "opposite-legs",
        f"The program sent {stream.counters.queued_in} messages of audio, but nothing was heard here: "
        f"stream_bidirectional_target_legs is {given}, and this call has one leg. Reports differ on whether Telnyx plays "
        "that to the caller: set it to self to be sure, or run with --opposite-plays if your real calls work.",
        "inconclusive",
    )


# --- what was heard ---------------------------------------------------------------------------------------------------


def _wrong_encoding(facts: CallFacts, stream: StreamFacts) -> Verdict | None:
    """The payload is recognised as something else than the codec of the stream."""
    request = stream.request
    order = facts.options.l16_byte_order
    expected = {"PCMU": "PCMU", "PCMA": "PCMA", "L16": f"PCM16 {order}"}.get(request.codec)
    if not stream.received or request.mode != "rtp":
        return None
    if expected is None:
        return _undecodable(facts, stream)
    found = guess_encoding(stream.received).content
    if found in (expected, "unknown", "silence"):
        return None
    asked = request.codec if request.codec != "L16" else f"L16 ({order}-endian, {request.sample_rate_hz} Hz)"
    what = {
        "PCM16 little": "16-bit PCM (little-endian)",
        "PCM16 big": "16-bit PCM (big-endian)",
        "WAV header": "a WAV file with its header",
        "MP3": "MP3",
        "hex text": "hexadecimal text",
        "base64 text": "base64 text inside the base64",
    }.get(found, found)
    return _failed(
        f"wrong-encoding-{found.lower().replace(' ', '-')}",
        f"The caller heard noise: the program sends {what}, and stream_bidirectional_codec is {asked}. Convert the audio, "
        "or ask for the codec that is sent.",
    )


def _undecodable(facts: CallFacts, stream: StreamFacts) -> Verdict | None:
    request = stream.request
    try:
        decoder = open_decoder(request.codec, request.sample_rate_hz, byte_order=facts.options.l16_byte_order)
    except AudioError:
        return None
    bad = 0
    for payload in stream.received[:100]:
        try:
            decoder.decode(payload)
        except AudioError:
            bad += 1
    if bad * 2 <= min(100, len(stream.received)):
        return None
    return _failed(
        "undecodable",
        f"The caller heard nothing but gaps: {bad} of {min(100, len(stream.received))} payloads are no {request.codec}.",
    )


def _short_chunks(facts: CallFacts) -> Verdict | None:
    """Most messages are shorter than a packet, and hold less audio than the time in which they came."""
    counters = facts.streams[-1].counters
    first_ms, last_ms = counters.first_audio_at_ms, counters.last_audio_at_ms
    if not facts.expect_audio or counters.short_in * 2 <= counters.queued_in or first_ms is None or last_ms is None:
        return None
    if counters.audio_ms_in > CHOPPY_SHARE_MAX * (last_ms - first_ms):
        return None
    return _failed(
        "short-chunks",
        f"The caller heard chopped audio: {counters.short_in} of {counters.queued_in} messages hold less than 20 ms, "
        f"{_seconds(counters.audio_ms_in)} of audio in {_seconds(last_ms - first_ms)}. Telnyx documents 20 ms to 30 s a "
        "message, and not what it does with less; here the rest of each packet is silence.",
        "inconclusive",
    )


def _not_speech(facts: CallFacts, hearing: Hearing) -> Verdict | None:
    """Audio was expected: was there any, and could it be speech or music?"""
    if not hearing.heard_ms:
        return _failed("silent", f"Every stage was reached, but {_quiet(facts)}{_ended_by_program(facts)}.", "silent")
    if hearing.speed is not None:
        faster = hearing.speed > 1
        how = f"{hearing.speed:g} times too fast" if faster else f"at {_share(hearing.speed)} of its speed"
        return _failed(
            "wrong-sample-rate",
            f"The caller heard its own words {how}: the program sends audio at another sample rate than the stream's. "
            "Resample it to the rate of stream_bidirectional_codec.",
            "silent",
        )
    if hearing.noise_share >= NOISE_SHARE_MIN:
        stream = next((one for one in reversed(facts.streams) if one.counters.packets_played), None)
        codec = stream.request.codec if stream is not None else "the codec"
        return _failed(
            "noise",
            f"The caller heard noise, not speech: {hearing.noise_share:.0%} of the sound has a flat spectrum. The payload "
            f"is probably no {codec} (compressed, encrypted or random bytes, or the wrong byte order).",
            "silent",
        )
    return None


def _quiet(facts: CallFacts) -> str:
    """Why the ear heard nothing although packets may have come."""
    frames = sum(one.counters.frames_in for one in facts.streams)
    if not frames:
        last = facts.streams[-1]
        deaf = last.request.track == "outbound_track"
        why = " (stream_track is outbound_track, so it does not hear the caller either)" if deaf else ""
        return f"the program sent no audio in the {_age(last)} of the stream{why}, so the caller heard nothing"
    received = [payload for one in facts.streams for payload in one.received]
    how = "all of it is digital silence" if not received else "all of it is too quiet to hear"
    return f"nothing was heard: the program sent {_count(frames, 'frame')} of audio, and {how}"


def _ended_by_program(facts: CallFacts) -> str:
    if facts.ended_by != "program" or facts.documents:
        return ""
    since_ms = (facts.ended_at_ms or 0.0) - (facts.answered_at_ms or facts.began_at_ms)
    return f"; the program hung up {_seconds(since_ms)} after the answer"


# --- notes ------------------------------------------------------------------------------------------------------------


def _notes(facts: CallFacts, decided: str) -> Iterable[str]:
    """What went wrong besides what `decided`, each once with its number."""
    yield from _refused_notes(facts)
    for seen in facts.webhooks:
        if (note := _webhook_note(seen)) is not None:
            yield note
    doubled = Counter(one.name for one in facts.accepted if one.name in ("answer", "streaming_start"))
    for name, times in doubled.items():
        if name == "answer" and times > 1:
            yield f"The program sent {name} {times} times."
    for stream in facts.streams[:-1]:
        if stream.failed is not None:
            yield f"An earlier media WebSocket was not opened: {stream.failed}."
        elif stream.end is not None and stream.end.by != "simulator":
            yield f"An earlier media WebSocket was lost: {_how_it_ended(stream)}."
        elif stream.stop_reason == "fork_start":
            yield "fork_start replaced the media stream."
    for stream in facts.streams:
        by_program = facts.ended_by == "program" or stream.stop_reason in ("streaming_stop", "fork_start")
        yield from _stream_notes(stream, decided, by_program=by_program)


def _refused_notes(facts: CallFacts) -> Iterable[str]:
    groups: dict[tuple[object, ...], list[CommandSeen | RequestSeen]] = {}
    for one in facts.refused:
        if "90018" in one.codes and facts.ended_at_ms is not None and one.at_ms >= facts.ended_at_ms:
            continue  # a command that crossed the end of the call
        groups.setdefault((one.name, one.status, one.codes), []).append(one)
    for same in groups.values():
        often = f" ({len(same)} times)" if len(same) > 1 else ""
        yield f"The request {_refusal(same[-1])}{often}."


def _webhook_note(seen: WebhookSeen) -> str | None:
    failed = [
        str(status) if status is not None else problem or "no answer"
        for status, problem in zip(seen.statuses, seen.problems or [""] * len(seen.statuses), strict=False)
        if status is None or not 200 <= status < 300
    ]
    if not failed:
        return None
    counted = ", ".join(
        f"{'HTTP ' if what.isdecimal() else ''}{what}{f' ({times} times)' if times > 1 else ''}"
        for what, times in Counter(failed).items()
    )
    then = ""
    if seen.delivered:
        then = f", and was sent again ({len(seen.attempts)} attempts)"
    return f"The webhook {seen.event_type} got {counted}{then}."


_DECIDES = {
    "binary": "binary-frames",
    "rtp_header": "rtp-headers",
    "mp3_mode": "raw-audio-in-mp3-mode",
    "mp3_too_often": "mp3-too-often",
    "mp3_not_decoded": "mp3-not-decoded",
    "queue_full": "queue-full",
}
"""Reason of messages that no ear hears → the code of the verdict that says so."""


def _stream_notes(stream: StreamFacts, decided: str, *, by_program: bool) -> Iterable[str]:
    counters = stream.counters
    named = {
        "binary": "binary messages were dropped",
        "rtp_header": "payloads with an RTP header were not played",
        "mp3_mode": "messages of raw audio were not played in mp3 mode",
        "mp3_too_often": "MP3 messages came in less than a second after the one before",
        "mp3_not_decoded": "MP3 messages could not be decoded",
        "queue_full": "messages did not fit into the playback queue",
    }
    for reason, times in counters.unheard.most_common(3):
        if decided == _DECIDES.get(reason, f"frames-refused-{reason.partition(':')[0]}"):
            continue
        if reason in named:
            yield f"{times} {named[reason]}."
        else:
            code, _, problem = reason.partition(": ")
            yield f"{_count(times, 'message')} {'was' if times == 1 else 'were'} refused with {code}: {problem}."
    waiting_ms = counters.audio_ms_in - PACKET_MS * (counters.packets_played + counters.packets_opposite)
    if by_program and waiting_ms > WAITING_MS_MAX and not counters.clears_in:
        yield f"{_seconds(waiting_ms)} of the program's audio was still waiting when it ended the stream or the call."
    if counters.packets_opposite and counters.packets_played:
        yield f"{counters.packets_opposite * PACKET_MS / 1000:.1f} s went to the opposite leg only."


# --- words ------------------------------------------------------------------------------------------------------------


def _refusal(one: CommandSeen | RequestSeen) -> str:
    """`streaming_start was refused with 422 10003 Invalid URL (/stream_url)`."""
    if isinstance(one, RequestSeen) and one.injected:
        broke = "got a broken connection" if one.status == 0 else f"got HTTP {one.status}"
        return f"{one.name} {broke} from an injected fault"
    head = f"{one.name} was refused with {one.status}"
    if isinstance(one, RequestSeen) and not one.errors:
        return head
    details = "; ".join(dict.fromkeys(_error(error) for error in one.errors))
    remark = f": {one.remark}" if isinstance(one, RequestSeen) and one.remark else ""
    return f"{head} {details}{remark}"


def _error(error: ApiError) -> str:
    where = f" ({error.source.pointer})" if error.source is not None and error.source.pointer else ""
    named = d_code_in(error.detail)
    refusal = explain_refusal(named)
    meaning = f", {named}: {refusal.title}" if refusal is not None else ""
    return f"{error.code} {error.title.rstrip('.')}{where}{meaning}"


def _first(webhooks: Sequence[WebhookSeen], event_type: str) -> WebhookSeen | None:
    return next((one for one in webhooks if one.event_type == event_type), None)


def _age(stream: StreamFacts) -> str:
    began_ms = stream.counters.upgraded_at_ms or 0.0
    ended_ms = stream.counters.closed_at_ms
    if stream.end is not None:
        ended_ms = stream.end.at_ms
    return _seconds(max(0.0, (began_ms if ended_ms is None else ended_ms) - began_ms))


def _stop(text: str) -> str:
    """The end of a sentence, with its full stop unless it has one."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _seconds(duration_ms: float) -> str:
    return f"{duration_ms:.0f} ms" if duration_ms < 950 else f"{duration_ms / 1000:.1f} s"


def _share(speed: float) -> str:
    return {0.5: "half", 0.33: "a third"}.get(round(speed, 2), f"{speed:.0%}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    """Each name once, with how often it came."""
    counted = Counter(names)
    return ", ".join(name if times == 1 else f"{name} ({times} times)" for name, times in counted.items())
