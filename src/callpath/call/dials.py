"""One dial, from its order to the call that it became, folded from its own timeline. Pure.

The session of a call that is dialled is known only by Telnyx's answer. So a dial has a timeline of its own, named by its
command_id, in which the command stands before it is sent:

    command.sent       the order, before anything was sent
    command.answered   Telnyx refused it, or nobody knows what became of it
    dial.placed        it became a call: everything else is in that call's timeline
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from callpath.call.outcomes import DETECTION_MS_MAX, NEWS_MS_MAX, Dialled, DialStatus, dial_outcome, refusal_code
from callpath.call.session import CallSession
from callpath.timeline import CommandAnswered, CommandSent, DialPlaced, Entry
from callpath.wire.command import Dial
from callpath.wire.ids import SessionId

DIAL_PREFIX = "dial-"

ANNOUNCE, ANNOUNCEMENT = "callpath:announce", "callpath"
"""The name of callpath's own handler, which says or plays one thing, and the variable that holds what. An application's
handler is a Python name, or what it was called."""

SOUNDS = "sounds"
"""The folder of the data directory with files to play."""

SAY_CHARS_MAX = 1_000
"""Maximum characters of what a dial says. They travel in the leg's client_state, whose limit Telnyx does not document."""

SCREENING_DETECTION = "premium_ios_call_screening_detection"
"""The detection that takes a phone that screens its calls for a machine, and tells later."""


def dial_session(dial_id: str) -> SessionId:
    """The name of the dial's own timeline. `dial_id` is the command_id of the dial."""
    return SessionId(f"{DIAL_PREFIX}{dial_id}")


def is_dial(session: str) -> bool:
    """Whether a timeline is that of a dial."""
    return session.startswith(DIAL_PREFIX)


@dataclass(frozen=True, slots=True)
class DialRecord:
    """What the timeline of a dial tells."""

    sent: CommandSent
    sent_unix_ms: int
    answer: CommandAnswered | None = None
    placed: DialPlaced | None = None

    @property
    def dial_id(self) -> str:
        return self.sent.command_id

    @property
    def is_refused(self) -> bool:
        """Telnyx refused it: nobody was called."""
        return self.placed is None and self.answer is not None and is_refusal(self.answer.status)

    @property
    def is_open(self) -> bool:
        """What became of the command is not known yet."""
        return self.placed is None and self.answer is None

    @property
    def detects(self) -> bool:
        """Answering machine detection was asked for."""
        return self.sent.body.get("answering_machine_detection") not in (None, "disabled")

    def same_order(self, command: Dial) -> bool:
        """Whether `command` asks for the same call."""
        return (self.sent.body.get("to"), self.sent.body.get("from")) == (command.to, command.from_)


@dataclass(frozen=True, slots=True)
class DialView:
    """A dial as the log has it now: the call that it became, if it did, and what came of it; None: not known yet."""

    record: DialRecord
    session: CallSession | None
    outcome: Dialled | None


def is_refusal(status: int | None) -> bool:
    """Whether an answer means that nothing was dialled. After a 5xx, or none at all, nobody can know."""
    return status is not None and 400 <= status < 500


def read_dial(entries: Iterable[Entry]) -> DialRecord | None:
    """What a dial's timeline tells; None: it is none of a dial."""
    found: DialRecord | None = None
    for entry in entries:
        what = entry.what
        if isinstance(what, CommandSent) and what.command == Dial.NAME and found is None:
            found = DialRecord(what, entry.at_unix_ms)
        elif found is None:
            continue
        elif isinstance(what, CommandAnswered) and what.command == Dial.NAME:
            found = replace(found, answer=what)
        elif isinstance(what, DialPlaced):
            found = replace(found, placed=what)
    return found


def unplaced_outcome(record: DialRecord) -> Dialled | None:
    """What came of a dial that became no call; None: it became one, or that is not known yet."""
    answer = record.answer
    if answer is None or record.placed is not None:
        return None
    status: DialStatus = "refused" if is_refusal(answer.status) else "unknown"
    return Dialled(status, id=record.dial_id, code=refusal_code(answer), detail=answer.error_detail)


def placed_outcome(record: DialRecord, session: CallSession, *, now_unix_ms: int) -> tuple[Dialled | None, int | None]:
    """As `outcomes.dial_outcome`, of the call that a dial became."""
    assert record.placed is not None, "asked of a dial that became a call"
    found, again_unix_ms = dial_outcome(
        session,
        record.placed.leg_id,
        detects=record.detects,
        now_unix_ms=now_unix_ms,
        screens=record.sent.body.get("answering_machine_detection") == SCREENING_DETECTION,
    )
    return (None if found is None else replace(found, id=record.dial_id)), again_unix_ms


def wait_ms_max(record: DialRecord, ring_s_default: int = 30) -> float:
    """How long the outcome of a dial that became a call may take, from the order."""
    ring_s: int = record.sent.body.get("timeout_secs") or ring_s_default
    return ring_s * 1000 + NEWS_MS_MAX + (DETECTION_MS_MAX if record.detects else 0.0)


def numbers_of(body: dict[str, object]) -> tuple[str | None, str | None]:
    """Who dials, and who is dialled, as the command says."""
    from_, to = body.get("from"), body.get("to")
    if isinstance(to, Sequence) and not isinstance(to, str):
        to = to[0] if to else None
    return (from_ if isinstance(from_, str) else None), (to if isinstance(to, str) else None)
