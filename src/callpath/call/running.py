"""What Telnyx does for a call until it is told to stop, by the timeline: for a handler that is entered again. Pure."""

from __future__ import annotations

from callpath.call.session import CallSession
from callpath.wire.command import RecordStart, RecordStop, TranscriptionStart, TranscriptionStop


def is_recorded_by_telnyx(session: CallSession) -> bool:
    """A recording was started, and not stopped."""
    ended = sum(len(session.done_by_telnyx.get(kind, ())) for kind in ("call.recording.saved", "call.recording.error"))
    started = sum(session.is_accepted(sent.command_id) for sent in session.sent(RecordStart.NAME))
    return started > ended and _runs(session, RecordStart.NAME, RecordStop.NAME)


def is_transcribed_by_telnyx(session: CallSession) -> bool:
    """A transcription was started, and not stopped."""
    return _runs(session, TranscriptionStart.NAME, TranscriptionStop.NAME)


def _runs(session: CallSession, start: str, stop: str) -> bool:
    accepted = [one for one in session.sent(start, stop) if session.is_accepted(one.command_id)]
    return bool(accepted) and accepted[-1].command == start
