"""How what was asked for ended: the results that the commands of a Call return.

Each has a `status`, one of a few words that a type checker knows, and is true where all went as asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from callpath.wire.webhook import (
    CallGatherEnded,
    CallPlaybackEnded,
    CallRecordingError,
    CallRecordingSaved,
    CallSpeakEnded,
)

SpokenStatus = Literal["completed", "interrupted", "hung_up", "failed", "unknown"]
GatherStatus = Literal["valid", "invalid", "timeout", "cancelled", "hung_up", "unknown"]


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended. `cause` is Telnyx's hangup_cause (`normal_clearing`, `user_busy`, …), `source` who hung up
    (`caller`, `callee`, `unknown`), `sip_code` the SIP code as text. All three are None where no call.hangup came: `reason`
    then says why the handler does not have the call any more."""

    cause: str | None = None
    source: str | None = None
    sip_code: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Spoken:
    """How a text or a file ended that Telnyx spoke or played.

    `completed`: heard to the end. `interrupted`: stopped by `stop_speaking`, or by Telnyx for another command.
    `hung_up`: the call ended first. `failed`: Telnyx could not play it (`detail` has its word, for example
    `file_not_found`). `unknown`: no event told the end in the longest time that it can take.
    """

    status: SpokenStatus
    detail: str | None = None
    event: CallSpeakEnded | CallPlaybackEnded | None = None

    def __bool__(self) -> bool:
        return self.status == "completed"


@dataclass(frozen=True, slots=True)
class Gathered:
    """The keys that a gather collected.

    `valid`: enough keys, or a terminator, came. `timeout`: too few came in every try. `invalid`: a key that is not among
    `valid_digits` came in the last try. `cancelled`: Telnyx or a command stopped it. `hung_up`: the call ended first.
    `unknown`: Telnyx did not tell the end in time. `digits` is what was pressed, in every case, without the terminator.
    """

    digits: str
    status: GatherStatus
    terminator: str | None = None
    event: CallGatherEnded | None = None

    def __bool__(self) -> bool:
        return self.status == "valid"


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a recording ended. True if there is a file of all of it.

    `saved`: it is at `path` on this machine, or at Telnyx, at `urls` by format (`wav`, `mp3`), which are valid for 10
    minutes. `failed`: `detail` says why; `path` has what was recorded until then. `unknown`: Telnyx has not told yet.
    """

    status: Literal["saved", "failed", "unknown"]
    path: Path | None = None
    duration_ms: float | None = None
    code: str | None = None
    """Of our own recording that failed: `REC007` (disk full), …"""

    detail: str | None = None
    urls: Mapping[str, str] = field(default_factory=dict)
    public_urls: Mapping[str, str] = field(default_factory=dict)
    """Only where your Telnyx account makes recordings public."""

    recording_id: str | None = None
    event: CallRecordingSaved | CallRecordingError | None = None

    def __bool__(self) -> bool:
        return self.status == "saved"
