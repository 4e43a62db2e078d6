"""callpath: Telnyx calls that work, and the reason when one does not.

    from callpath import App, Call

    app = App()

    @app.call
    async def handle(call: Call) -> None:
        async for chunk in call.audio:
            await call.play(chunk)

Run it with `callpath serve module:app`. `callpath.events` has what `call.events` gives, `callpath.commands` every Call
Control command. `callpath.server` carries calls, `callpath.doctor` names what is wrong,
`callpath.simulator` is a Telnyx simulator, `callpath.wire` is what goes over the wire.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callpath.api.app import App
    from callpath.api.bridge import bridge
    from callpath.api.call import Call
    from callpath.api.conference import Conference, Participant
    from callpath.api.consult import Consultation
    from callpath.api.playback import Playback
    from callpath.api.recorders import CallRecording, TelnyxRecording
    from callpath.api.results import CallEnd, Gathered, Recorded, Spoken
    from callpath.api.ring import Answer, Forward, Ignore, Reject, Ring
    from callpath.api.transcription import Transcription, TranscriptLine
    from callpath.call.outcomes import Consulted, Dialled, Referred, Transferred
    from callpath.errors import ControlError, InvalidRequestError

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "App",
    "Call",
    "CallEnd",
    "CallRecording",
    "Conference",
    "Consultation",
    "Consulted",
    "ControlError",
    "Dialled",
    "Forward",
    "Gathered",
    "Ignore",
    "InvalidRequestError",
    "Participant",
    "Playback",
    "Recorded",
    "Referred",
    "Reject",
    "Ring",
    "Spoken",
    "TelnyxRecording",
    "TranscriptLine",
    "Transcription",
    "Transferred",
    "__version__",
    "bridge",
]

_HOMES = {
    "App": "callpath.api.app",
    "Call": "callpath.api.call",
    "bridge": "callpath.api.bridge",
    "Playback": "callpath.api.playback",
    **dict.fromkeys(("Conference", "Participant"), "callpath.api.conference"),
    **dict.fromkeys(("CallRecording", "TelnyxRecording"), "callpath.api.recorders"),
    **dict.fromkeys(("CallEnd", "Gathered", "Recorded", "Spoken"), "callpath.api.results"),
    **dict.fromkeys(("TranscriptLine", "Transcription"), "callpath.api.transcription"),
    **dict.fromkeys(("Answer", "Forward", "Ignore", "Reject", "Ring"), "callpath.api.ring"),
    "Consultation": "callpath.api.consult",
    **dict.fromkeys(("Consulted", "Dialled", "Referred", "Transferred"), "callpath.call.outcomes"),
    **dict.fromkeys(("ControlError", "InvalidRequestError"), "callpath.errors"),
}


def __getattr__(name: str) -> Any:
    """Each is imported when asked for: `callpath --help` must not wait for numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'callpath' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
