"""One dial, folded from its own timeline."""

from __future__ import annotations

from typing import Any

import pytest

from callpath.call.dials import DialRecord, dial_session, is_dial, numbers_of, read_dial, unplaced_outcome, wait_ms_max
from callpath.call.overview import PLACED, fold_overview
from callpath.timeline import CommandAnswered, CommandSent, DialPlaced, Entry, Noted, What
from callpath.wire.command import Dial
from callpath.wire.ids import CallControlId, LegId, SessionId

DIAL = "11111111-2222-4333-8444-555555555555"
BODY: dict[str, Any] = {"to": "+15555550155", "from": "+15555550100", "timeout_secs": 20}
SENT = CommandSent(command="dial", command_id=DIAL, body=BODY)
PLACED_AS = DialPlaced(
    command_id=DIAL, session=SessionId("s1"), call_control_id=CallControlId("v3:a"), leg_id=LegId("l1")
)


def answered(**fields: Any) -> CommandAnswered:
    return CommandAnswered(command="dial", command_id=DIAL, **fields)


def timeline(*whats: What) -> list[Entry]:
    return [
        Entry(session=dial_session(DIAL), at_unix_ms=1_000 * (number + 1), what=what, number=number + 1)
        for number, what in enumerate(whats)
    ]


def record(*whats: What) -> DialRecord:
    found = read_dial(timeline(*whats))
    assert found is not None
    return found


def test_a_dial_without_an_answer_is_open() -> None:
    """A process died, or is at it."""
    found = record(SENT, Noted(text="Dialled over HTTP"))

    assert (found.dial_id, found.sent_unix_ms, found.is_open, found.is_refused) == (DIAL, 1_000, True, False)
    assert unplaced_outcome(found) is None
    assert "live" == fold_overview(dial_session(DIAL), timeline(SENT)).stored_outcome


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ({"status": 403, "error_code": "10010", "error_detail": "The call was refused D17."}, "refused", "D17"),
        ({"status": 422, "error_code": "10016"}, "refused", "10016"),
        ({"status": 429, "error_code": "90103"}, "refused", "90103"),
        ({"status": 500, "error_detail": "oops"}, "unknown", None),
        ({"error_detail": "the connection timed out"}, "unknown", None),
        ({"status": 200, "error_detail": "a proxy's page"}, "unknown", None),
    ],
)
def test_a_dial_that_became_no_call(answer: dict[str, Any], status: str, code: str | None) -> None:
    """After a 5xx, or without an answer, the phone may have rung: that is no refusal, and is not dialled anew."""
    found = record(SENT, answered(**answer))
    outcome = unplaced_outcome(found)
    row = fold_overview(dial_session(DIAL), timeline(SENT, answered(**answer)))

    assert outcome is not None
    assert (outcome.status, outcome.code, outcome.id) == (status, code, DIAL)
    assert found.is_refused is (status == "refused")
    assert ("failed", "ended", "outgoing", "+15555550155") == (row.stored_outcome, row.state, row.direction, row.to)
    assert (row.result, row.problem) == (("refused", row.last_line) if status == "refused" else ("not answered", None))


@pytest.mark.parametrize("whats", [(SENT, PLACED_AS), (SENT, answered(error_detail="lost"), PLACED_AS)])
def test_a_dial_that_became_a_call(whats: tuple[What, ...]) -> None:
    """Its first event may come after its fate was written down as unknown. No list shows both."""
    found = record(*whats)

    assert (found.is_open, found.is_refused, unplaced_outcome(found)) == (False, False, None)
    assert found.placed == PLACED_AS
    assert PLACED == fold_overview(dial_session(DIAL), timeline(*whats)).stored_outcome


def test_what_is_no_dial_is_none() -> None:
    """A timeline that lost its order, or a call's."""
    assert read_dial([]) is None
    assert read_dial(timeline(PLACED_AS, Noted(text="x"))) is None
    assert (is_dial("dial-1"), is_dial("s1")) == (True, False)


def test_a_call_that_we_dialled_is_outgoing_before_any_event() -> None:
    """It counts as a call that is up from the moment in which Telnyx took it."""
    sent = CommandSent(command="dial", command_id=DIAL, call_control_id=CallControlId("v3:a"), body=BODY)
    row = fold_overview(SessionId("s1"), [Entry(session=SessionId("s1"), at_unix_ms=1, what=sent)])

    assert (row.way, row.stored_outcome, row.direction, row.to) == ("outgoing", "live", None, None)


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        (BODY, ("+15555550100", "+15555550155")),
        ({"to": ["+15555550155", "+15555550156"]}, (None, "+15555550155")),
        ({"to": [], "from": 5}, (None, None)),
        ({"to": {"a": 1}}, (None, None)),
    ],
)
def test_the_numbers_of_a_command(body: dict[str, Any], numbers: tuple[str | None, str | None]) -> None:
    """Stored by whichever version."""
    assert numbers_of(body) == numbers


def test_an_order_is_known_again_by_its_numbers() -> None:
    """One key, two numbers: that is a mistake of the program's, and nobody may be called for it."""
    command = Dial(connection_id="1", to="+15555550155", from_="+15555550100", timeout_secs=60)

    assert record(SENT).same_order(command)
    assert not record(SENT).same_order(Dial(connection_id="1", to="+15555550156", from_="+15555550100"))


def test_detection_makes_the_outcome_wait() -> None:
    """Telnyx's own limit for it is 30 s."""
    detecting = CommandSent(command="dial", command_id=DIAL, body={**BODY, "answering_machine_detection": "premium"})

    assert (record(SENT).detects, record(detecting).detects) == (False, True)
    assert wait_ms_max(record(detecting)) == wait_ms_max(record(SENT)) + 35_000 == 85_000
