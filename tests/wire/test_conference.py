"""What of a conference's messages the samples do not show."""

from __future__ import annotations

from callpath.wire.conference import CONFERENCE_COMMANDS, ConferenceCreate, ConferenceEnd, conference_path
from callpath.wire.ids import CallControlId


def test_a_conference_is_made_at_the_collection_and_commanded_by_id_or_name() -> None:
    """The name of a conference may hold anything, and a slash in it must not lead to another path."""
    made = ConferenceCreate(call_control_id=CallControlId("v3:a"), name="demo")

    assert "/conferences" == conference_path(made, None)
    assert "/conferences/my%20room%2F1/actions/end" == conference_path(ConferenceEnd(), "my room/1")


def test_each_command_is_found_by_the_last_part_of_its_path() -> None:
    """The simulator looks them up by it."""
    assert [name for name, command in CONFERENCE_COMMANDS.items() if command.NAME != name] == []
