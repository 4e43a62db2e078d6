"""Which conference a leg is in, by the events and commands of its call, in whatever order they come. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from callpath.call.leg import Stamp
from callpath.timeline import CommandAnswered, CommandSent
from callpath.wire.conference import ENTRY_PREFIX, ConferenceCreate, ConferenceJoin, ConferenceLeave
from callpath.wire.ids import LegId
from callpath.wire.webhook import CallPayload, ConferenceEnded, ConferenceParticipantJoined, ConferenceParticipantLeft

CONFERENCE_MS_MAX = 4 * 3_600_000
"""Telnyx ends a conference after four hours."""

CREATE, JOIN, LEAVE = (ENTRY_PREFIX + command.NAME for command in (ConferenceCreate, ConferenceJoin, ConferenceLeave))


@dataclass(slots=True)
class Stay:
    """One leg in one conference, as its events tell it. It may join and leave several times."""

    last: tuple[int, bool, str] = (0, False, "")
    """The last event: when it occurred, whether the leg left with it, and its id. Of one millisecond, leaving is last."""

    heard_unix_ms: int = 0
    """When the last of its events came here."""

    joins: set[str] = field(default_factory=set)
    leaves: set[str] = field(default_factory=set)
    """The ids of its events."""

    @property
    def left(self) -> bool:
        """By its last event it is out."""
        return self.last[1]


@dataclass(slots=True)
class Conferences:
    """What the events of one call tell of conferences."""

    stays: dict[tuple[LegId, str], Stay] = field(default_factory=dict)
    """By leg and conference."""

    ended: set[str] = field(default_factory=set)
    """Conferences that are over."""

    def apply(self, payload: CallPayload, stamp: Stamp, at_unix_ms: int) -> None:
        """Learn from one event."""
        match payload:
            case ConferenceParticipantJoined(conference_id=str(conference)):
                self._move(payload.call_leg_id, conference, stamp, at_unix_ms, left=False)
            case ConferenceParticipantLeft(conference_id=str(conference)):
                self._move(payload.call_leg_id, conference, stamp, at_unix_ms, left=True)
            case ConferenceEnded(conference_id=str(conference)):
                self.ended.add(conference)
            case _:
                pass

    def stay(self, leg: str | None, conference: str | None) -> Stay | None:
        """What is known of a leg in a conference."""
        return self.stays.get((LegId(leg), conference)) if leg is not None and conference is not None else None

    def _move(self, leg: LegId, conference: str, stamp: Stamp, at_unix_ms: int, *, left: bool) -> None:
        stay = self.stays.setdefault((leg, conference), Stay())
        stay.heard_unix_ms = max(stay.heard_unix_ms, at_unix_ms)
        (stay.leaves if left else stay.joins).add(stamp[1])
        stay.last = max(stay.last, (stamp[0], left, stamp[1]))


def conference_of(
    conferences: Conferences,
    leg: LegId | None,
    sent: list[tuple[int, CommandSent, CommandAnswered | None]],
) -> str | None:
    """The id of the conference that a leg is in, or is about to join; None: it is in none. `sent` are the commands about
    it that concern conferences, in order, with their times and answers. The id is "" while Telnyx has not told it."""
    asked: dict[str, list[tuple[int, bool]]] = {}
    """By conference, the joins and leaves that were asked for and not refused: when, and whether it was a leave."""
    for at_unix_ms, command, answer in sent:
        leaves = command.command == LEAVE
        if answer is None or answer.accepted:
            conference = command.conference or (answer.conference if answer is not None else None) or ""
            if answer is not None or not leaves:
                asked.setdefault(conference, []).append((at_unix_ms, leaves))
    stays = {conference: stay for (one, conference), stay in conferences.stays.items() if one == leg}
    inside = [
        conference
        for conference in {**dict.fromkeys(stays), **dict.fromkeys(asked)}
        if conference not in conferences.ended and _is_in(stays.get(conference) or Stay(), asked.get(conference, []))
    ]
    return inside[-1] if inside else None


def _is_in(stay: Stay, asked: list[tuple[int, bool]]) -> bool:
    joins = sum(not leaves for _, leaves in asked)
    if len(stay.joins) >= joins:  # each join is told: the last event is right, unless a leave is on its way
        return not stay.left and not any(leaves and at_unix_ms >= stay.heard_unix_ms for at_unix_ms, leaves in asked)
    return joins > max(len(stay.leaves), sum(leaves for _, leaves in asked))
