"""What of a conference's messages the samples do not show."""

from __future__ import annotations

import pytest

from callpath.errors import RemoteProtocolError
from callpath.wire.command import Speak
from callpath.wire.conference import (
    CONFERENCE_COMMANDS,
    ConferenceCreate,
    ConferenceEnd,
    ConferenceSpeak,
    conference_path,
    read_sent,
)
from callpath.wire.document import write
from callpath.wire.ids import CallControlId


def test_a_conference_is_made_at_the_collection_and_commanded_by_id_or_name() -> None:
    """The name of a conference may hold anything, and a slash in it must not lead to another path."""
    made = ConferenceCreate(call_control_id=CallControlId("v3:a"), name="demo")

    assert "/conferences" == conference_path(made, None)
    assert "/conferences/my%20room%2F1/actions/end" == conference_path(ConferenceEnd(), "my room/1")


def test_each_command_is_found_by_the_last_part_of_its_path() -> None:
    """The simulator looks them up by it."""
    assert [name for name, command in CONFERENCE_COMMANDS.items() if command.NAME != name] == []


def test_a_command_is_read_back_by_its_name_in_a_timeline() -> None:
    """A call's `speak` and a conference's have one name on the wire: sent again after a crash, one must not become the
    other."""
    for command in (Speak(payload="a", voice="b"), ConferenceSpeak(payload="a", voice="b"), ConferenceEnd()):
        assert command == read_sent(command.entry_name, write(command))
    assert ("speak", "conference_speak") == (
        Speak(payload="", voice="").entry_name,
        ConferenceSpeak(payload="", voice="").entry_name,
    )
    with pytest.raises(RemoteProtocolError):
        read_sent("conference_dance", {})
