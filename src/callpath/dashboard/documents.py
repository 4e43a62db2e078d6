"""The shapes of the API's answers, and how they are made from overviews and timelines. Times are Unix ms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from callpath.call.kept import recordings_of
from callpath.call.overview import RESULT_WORDS, CallOverview, Outcome, Result
from callpath.call.session import CallSession, Stage, missing_stage_sentence
from callpath.call.story import Story
from callpath.dashboard.masking import mask, mask_number, mask_text
from callpath.doctor.verdict import Diagnosis
from callpath.timeline import (
    CallChecked,
    CallDecided,
    CallRecovered,
    CallRejected,
    CallStuck,
    CallTraced,
    CommandAnswered,
    CommandRetried,
    CommandSent,
    ConsultDecided,
    ConsultEnded,
    ConsultNews,
    ConsultStarted,
    DialPlaced,
    DtmfReceived,
    Entry,
    FirstInbound,
    FirstOutbound,
    FrameRejected,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    LoopBlocked,
    MarkReturned,
    MediaCounted,
    MediaSymptom,
    Noted,
    PlayoutCleared,
    PolicyActed,
    RecordingNotStored,
    RecordingPaused,
    RecordingResumed,
    RecordingSaved,
    RecordingStored,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamErrored,
    StreamMissing,
    StreamProbed,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
    describe,
    encode_what,
    kind_of,
)
from callpath.wire.ids import LegId

NO_LEGS: Mapping[LegId, str] = MappingProxyType({})

Lane = Literal["webhooks", "commands", "socket", "audio", "handler"]
Tone = Literal["plain", "good", "warn", "bad"]


class Document(BaseModel):
    """Every field is always there, in answers too."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Problem(Document):
    """Why a request was not answered as asked. `error` is a fixed word, `detail` a sentence for people."""

    error: str
    detail: str


PROBLEMS = {
    400: "It cannot be answered as it is",
    401: "No login, or a wrong one",
    403: "From another site's page; or, without a login to ask for, not from this machine",
    404: "There is no such thing",
    413: "The body is too large",
    409: "Not possible at this moment, or with this one",
    429: "A wrong token, after too many others within a minute",
    503: "The call log cannot be read or written; a public server without CALLPATH_DASHBOARD_TOKEN; too many open pages",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the API's description: what a route may answer beside success."""
    return {status: {"model": Problem, "description": PROBLEMS[status]} for status in statuses}


class Missing(Document):
    """The first stage of the way to working audio that a call did not reach."""

    stage: int
    name: str
    label: str


class CallRow(Document):
    """One call in a list. `result` is what it came to, and `result_words` the end of a sentence that says so."""

    session: str
    state: Literal["new", "ringing", "answered", "streaming", "ended"]
    outcome: Outcome
    result: Result
    result_words: str
    direction: str | None
    from_number: str | None
    to_number: str | None
    began_unix_ms: int
    last_unix_ms: int
    answered_unix_ms: int | None
    ended_unix_ms: int | None
    hangup_cause: str | None
    stages_reached: int
    missing: Missing | None
    frames_in: int
    frames_out: int
    frames_in_trouble: int
    symptoms: list[str]
    problem: str | None
    recorded: bool
    entries: int
    last_number: int
    last_line: str


class CallPage(Document):
    """A page of the list. `next` goes into `cursor` for the page after; null: this was the last."""

    calls: list[CallRow]
    next: str | None


class Verdict(Document):
    """The doctor's word on a call in short, from its timeline up to entry `number`. `code` null: it names no cause.

    `decided` false with a code: that is what happened, its cause is not proven. `healthy` null: could not be told.
    `kind` outcome: that is how the call ended, and nothing failed.
    """

    session: str
    number: int
    code: str | None
    slug: str | None
    title: str | None
    owner: str | None
    kind: Literal["fault", "outcome", "limited", "open", "note"] | None
    decided: bool
    healthy: bool | None


class Totals(Document):
    """How many calls there are of each outcome, and how many requests were turned away."""

    calls: int
    live: int
    good: int
    flawed: int
    failed: int
    unconnected: int
    refused: int
    latest_refusals: list[dict[str, Any]]


class StageRow(Document):
    """One stage. `marker` numbers the four by which a silent call is understood."""

    name: str
    label: str
    marker: int | None
    at_unix_ms: int | None


class EntryDocument(Document):
    """One line of a timeline, with the lane it is drawn in. `what` is the entry as it is stored, numbers masked. `leg` is
    the letter of the leg that it is about, where the call has several."""

    number: int
    at_unix_ms: int
    kind: str
    lane: Lane
    tone: Tone
    leg: str | None
    line: str
    what: dict[str, Any]


class RecordingDocument(Document):
    """A recording of the call. It began at `began_unix_ms`, as well as can be told from when it was saved."""

    number: int
    began_unix_ms: int
    duration_ms: float


class PartyDocument(Document):
    """One leg of a call, by its letter; A talks to us. `number` is the phone at its far end, `words` what became of it.
    Times are null where it did not happen."""

    letter: str
    role: str
    direction: str | None
    number: str | None
    words: str
    began_unix_ms: int
    answered_unix_ms: int | None
    joined_unix_ms: int | None
    ended_unix_ms: int | None


class StepDocument(Document):
    """One sentence of what happened, and the leg that it is about."""

    at_unix_ms: int
    letter: str
    text: str


class CallDocument(Document):
    """A whole call. `parties` are its legs, `steps` what happened in sentences. `diagnosis` is the doctor's document
    (`callpath doctor --json`), null where it has no word on it."""

    call: CallRow
    stages: list[StageRow]
    sentence: str | None
    parties: list[PartyDocument]
    steps: list[StepDocument]
    stream_url: str | None
    entries: list[EntryDocument]
    recordings: list[RecordingDocument]
    diagnosis: dict[str, Any] | None
    webhook_url: str
    api_base: str


class Side(Document):
    """One side of a recording: lowest and highest sample by turns, and levels."""

    name: str
    peaks: list[int]
    levels_dbfs: list[float]


class Outline(Document):
    """What the waveform and the level plot are drawn from."""

    duration_ms: float
    peaks_per_s: int
    levels_per_s: int
    sides: list[Side]


class Resent(Document):
    """`new` false: the server knew the event already, and did nothing again; as it does when Telnyx repeats one."""

    new: bool
    event_id: str
    event_type: str


SAID_CHARS_MAX = 300
"""Maximum characters of a transcription in the line of its entry; the entry itself has all."""

MARKERS = {
    Stage.STREAM_STARTING: 1,
    Stage.STREAM_ACCEPTED: 3,
    Stage.SOCKET_RECEIVED: 4,
}
"""Marker 2, the stream URL, has no stage of its own: it comes with marker 1."""


def row_document(overview: CallOverview, *, masked: bool) -> CallRow:
    """A row of the list."""
    hide = mask_number if masked else str
    missing = overview.missing_stage
    return CallRow(
        session=overview.session,
        state=overview.state,  # type: ignore[arg-type]  # a str of these five
        outcome=overview.outcome,
        result=overview.result,
        result_words=RESULT_WORDS[overview.result],
        direction=overview.direction,
        from_number=hide(overview.from_) if overview.from_ else None,
        to_number=hide(overview.to) if overview.to else None,
        began_unix_ms=overview.first_unix_ms,
        last_unix_ms=overview.last_unix_ms,
        answered_unix_ms=overview.answered_unix_ms,
        ended_unix_ms=overview.ended_unix_ms,
        hangup_cause=overview.hangup_cause,
        stages_reached=overview.stages.bit_count(),
        missing=None if missing is None else Missing(stage=missing, name=missing.name.lower(), label=missing.label),
        frames_in=overview.frames_in,
        frames_out=overview.frames_out,
        frames_in_trouble=overview.frames_in_trouble,
        symptoms=overview.symptoms,
        problem=_maybe_masked(overview.problem, masked),
        recorded=overview.recorded,
        entries=overview.entries,
        last_number=overview.number,
        last_line=_maybe_masked(overview.last_line, masked) or "",
    )


def verdict_document(session: str, number: int, diagnosis: Diagnosis | None, *, masked: bool) -> Verdict:
    """What a row of the list says of a diagnosis; None: the doctor has no word on the call."""
    found = None if diagnosis is None else diagnosis.verdict
    return Verdict(
        session=session,
        number=number,
        code=None if found is None else found.rule.code,
        slug=None if found is None else found.rule.slug,
        title=None if found is None else _maybe_masked(found.finding.title or found.rule.title, masked),
        owner=None if found is None else found.owner,
        kind=None if found is None else found.finding.kind,
        decided=diagnosis is not None and diagnosis.decided,
        healthy=None if diagnosis is None else diagnosis.healthy,
    )


def story_documents(story: Story, *, masked: bool) -> tuple[list[PartyDocument], list[StepDocument]]:
    """The legs of a call, and what happened in sentences."""
    hide = mask_number if masked else str
    parties = [
        PartyDocument(
            letter=party.letter,
            role=party.role,
            direction=party.direction,
            number=hide(party.number) if party.number else None,
            words=party.words,
            began_unix_ms=party.began_unix_ms,
            answered_unix_ms=party.answered_unix_ms,
            joined_unix_ms=party.joined_unix_ms,
            ended_unix_ms=party.ended_unix_ms,
        )
        for party in story.parties
    ]
    steps = [
        StepDocument(at_unix_ms=step.at_unix_ms, letter=step.letter, text=_maybe_masked(step.text, masked) or "")
        for step in story.steps
    ]
    return parties, steps


def stage_documents(session: CallSession) -> list[StageRow]:
    """All stages in order, reached or not."""
    return [
        StageRow(
            name=stage.name.lower(), label=stage.label, marker=MARKERS.get(stage), at_unix_ms=session.stages.get(stage)
        )
        for stage in Stage
    ]


def entry_document(entry: Entry, *, masked: bool, letters: Mapping[LegId, str] = NO_LEGS) -> EntryDocument:
    """One entry, whole. `letters` are those of the call's legs."""
    lane, tone = _place(entry.what)
    what = json.loads(encode_what(entry.what))
    line = describe(entry.what)
    if isinstance(entry.what, (RecordingPaused, RecordingResumed, RecordingSaved, RecordingNotStored)):
        path = PurePath(entry.what.path)  # where it lies is the server's business
        line = line.replace(entry.what.path, path.name).removesuffix(f", in {path.parent}")
    if isinstance(entry.what, WebhookReceived):
        line += _said(entry.what)
    return EntryDocument(
        number=entry.number,
        at_unix_ms=entry.at_unix_ms,
        kind=kind_of(entry.what),
        lane=lane,
        tone=tone,
        leg=letters.get(entry.leg) if entry.leg is not None and len(letters) > 1 else None,
        line=_maybe_masked(line, masked) or "",
        what=mask(what) if masked else what,
    )


def _said(what: WebhookReceived) -> str:
    """The words of a transcription, once they are final. Only the call's own page shows them: a line of the log, a report
    and the doctor's document leave them out."""
    if what.event_type != "call.transcription":
        return ""
    payload = (what.body.get("data") or {}).get("payload")
    data = payload.get("transcription_data") if isinstance(payload, dict) else None
    if not isinstance(data, dict) or data.get("is_final") is False or not isinstance(data.get("transcript"), str):
        return ""
    text = data["transcript"]
    track = data.get("transcription_track")
    by = f" ({track})" if isinstance(track, str) else ""
    return f"{by}: “{text if len(text) <= SAID_CHARS_MAX else text[:SAID_CHARS_MAX] + '…'}”"


def recording_documents(entries: Sequence[Entry]) -> list[RecordingDocument]:
    """The recordings that a timeline names."""
    return [
        RecordingDocument(
            number=kept.number,
            began_unix_ms=kept.ended_unix_ms - round(kept.duration_ms),
            duration_ms=kept.duration_ms,
        )
        for kept in recordings_of(entries)
    ]


def sentence(session: CallSession, overview: CallOverview, *, masked: bool) -> str | None:
    """Which stage was not reached, in words; None where that is no fault."""
    if overview.outcome in ("good", "unconnected"):
        return None
    return _maybe_masked(missing_stage_sentence(session), masked)


_TONES: dict[str, Tone] = {
    "call.answered": "good",
    "call.bridged": "good",
    "conference.participant.joined": "good",
    "streaming.failed": "bad",
    "call.playback.failed": "bad",
    "call.refer.failed": "warn",
    "call.recording.error": "warn",
    "siprec.failed": "warn",
    "call.conversation.start_failed": "bad",
}
"""Of webhooks; the others are plain."""


def _place(what: What) -> tuple[Lane, Tone]:
    """Where an entry is drawn, and in which tone."""
    match what:
        case WebhookReceived():
            return "webhooks", _TONES.get(what.event_type, "plain")
        case CommandAnswered():
            return "commands", "good" if what.accepted else "bad"
        case CommandSent() | StreamStarting() | StreamUrl():
            return "commands", "plain"
        case StreamAccepted() | DialPlaced():
            return "commands", "good"
        case SocketReceived() | StreamStarted() | StreamStopped():
            return "socket", "good" if isinstance(what, StreamStarted) else "plain"
        case SocketClosed():
            return "socket", "plain" if what.code in (1000, 1001) else "warn"
        case SocketRejected() | StreamMissing():
            return "socket", "bad"
        case StreamProbed():
            return "socket", "warn"
        case CommandRetried():
            return "commands", "warn"
        case PolicyActed() | CallDecided() | CallRecovered() | CallChecked():
            return "handler", "plain"
        case ConsultStarted() | ConsultNews() | ConsultDecided() | ConsultEnded():
            return "handler", "plain"
        case CallStuck() | CallRejected() | LoopBlocked():
            return "handler", "warn"
        case FirstInbound() | FirstOutbound():
            return "audio", "good"
        case MediaSymptom() | FrameRejected() | StreamErrored():
            return "audio", "warn"
        case MediaCounted():
            trouble = what.lost + what.late + what.dropped_for_handler + what.frames_rejected
            return "audio", "warn" if trouble else "plain"
        case DtmfReceived() | MarkReturned() | PlayoutCleared():
            return "audio", "plain"
        case HandlerStarted() | HandlerEnded() | RecordingSaved() | RecordingStored() | CallTraced() | Noted():
            return "handler", "plain"
        case RecordingPaused() | RecordingResumed():
            return "handler", "plain"
        case RecordingNotStored():
            return "handler", "warn"
        case HandlerFailed():
            return "handler", "bad"
        case _:
            return "handler", "plain"


def _maybe_masked(text: str | None, masked: bool) -> str | None:
    return mask_text(text) if masked and text else text
