"""What a timeline says."""

from __future__ import annotations

import pytest

from callpath.doctor import calls
from callpath.doctor.facts import FactMissing, Facts, ServedFacts
from callpath.doctor.rules.sample_call import (
    ACCEPTED,
    BEGIN_UNIX_MS,
    BOTH_WAYS,
    GOOD,
    HOST,
    RANG,
    SERVED,
    SESSION,
    STARTED,
    STOPPED,
    TAKEN,
    a_call,
    answered,
    asking,
    call,
    hook,
    hung_up,
    noticed,
    refusals,
    turned_away,
)
from callpath.timeline import SocketClosed, SocketReceived, StreamStarted, StreamStarting


def test_absence_proves_something_only_where_presence_would_show() -> None:
    """A log that never prints sockets must not convict the network."""
    mute = call(ACCEPTED, source="logs", shown=frozenset({"webhook.received"}))

    assert calls.never(call(ACCEPTED), SocketReceived) is True
    assert calls.never(call(GOOD), SocketReceived) is False
    with pytest.raises(FactMissing):
        calls.never(mute, SocketReceived)


@pytest.mark.parametrize(
    ("ends_ms", "looked_ms", "due"),
    [(None, 60_000, True), (None, 2_000, False), (20_000, 60_000, True), (1_000, 60_000, False)],
)
def test_a_step_is_overdue(ends_ms: int | None, looked_ms: int, due: bool) -> None:
    """In a live call after its time; in one that is over only if it lived on for a while."""
    known = call(ACCEPTED, *([] if ends_ms is None else [(ends_ms, hung_up())]), looked_ms=looked_ms)

    assert (calls.no_socket(known) is not None) is due


def test_the_request_and_its_answer_belong_together() -> None:
    """With retries the last request is the one whose URL counts, and the first acceptance the one that was waited for."""
    again = asking("wss://other.example.com/audio")
    known = call(ACCEPTED, (9_000, StreamStarting(within="streaming_start")), again[1:], TAKEN)
    request, first = calls.asked(known), calls.accepted(known)

    assert request is not None
    assert request.url == "wss://other.example.com/audio"
    assert first is not None
    assert first.at_unix_ms == BEGIN_UNIX_MS + 800


def test_packets_are_counted_by_telnyx() -> None:
    """Strings on the wire; null where it did not count."""
    assert calls.packets(call(GOOD), "outbound") == 500
    assert calls.packets(call(BOTH_WAYS, hung_up()), "outbound") is None
    assert calls.packets(call(RANG), "inbound") is None


@pytest.mark.parametrize(
    ("happened", "broken"),
    [
        ([(9_000, SocketClosed(code=1006))], True),
        ([(9_000, SocketClosed(code=1006)), hung_up()], False),
        ([*STOPPED, (20_000, hung_up())], False),
        ([(9_000, SocketClosed(code=1000, by="us"))], False),
        ([(9_000, SocketClosed(code=1006)), STARTED[-2], hung_up()], True),
    ],
)
def test_a_lost_socket_is_told_from_an_untidy_end(happened: list[object], broken: bool) -> None:
    """Telnyx's own goodbyes are not always in order; a gap in mid-call is another thing."""
    assert (calls.broken_off(call(BOTH_WAYS, *happened)) is not None) is broken  # type: ignore[arg-type]


def test_webhooks_turned_away_belong_to_a_call_that_lacks_one() -> None:
    """Anybody may post to the webhook's URL; a call that went well has nothing to do with it."""
    rows = refusals("bad_signature", "unsigned")

    assert [row.reason for row in calls.turned_away_webhooks(Facts(call(), rows), "bad_signature", "unsigned")] == [
        "bad_signature", "unsigned",
    ]  # fmt: skip
    assert [row.reason for row in calls.turned_away_webhooks(Facts(call(RANG), rows), "bad_signature", "unsigned")] == [
        "bad_signature"
    ]
    assert calls.turned_away_webhooks(Facts(call(GOOD), rows), "bad_signature") == ()


@pytest.mark.parametrize(
    ("url", "named", "only_slashes"),
    [
        (f"wss://{HOST}/api/calls/{SESSION}/audio", str(SESSION), False),
        (f"wss://{HOST}/api/calls/{SESSION}/audio/***", str(SESSION), False),
        (f"wss://{HOST}/api/calls/v3%3Aabc/audio", "v3:abc", False),
        (f"wss://{HOST}//api/calls/{SESSION}/audio/", None, True),
        (f"wss://{HOST}/media-stream", None, False),
    ],
)
def test_the_url_sent_is_compared_part_by_part(url: str, named: str | None, only_slashes: bool) -> None:
    """Where it differs is what has to be mended."""
    found = calls.compared(a_call([*RANG, hook("call.answered"), *asking(url), *TAKEN], (20_000, hung_up())))

    assert found is not None
    assert (named, only_slashes) == (found.named, found.only_slashes)


def test_other_hosts_and_lost_settings_are_not_compared() -> None:
    """Another server's paths are not ours to judge."""
    there = [*RANG, *asking("wss://other.example.com/x"), answered("streaming_start"), (20_000, hung_up())]

    assert calls.compared(a_call(*there)) is None
    with pytest.raises(FactMissing):
        calls.compared(Facts(call(ACCEPTED, (20_000, hung_up()))))
    assert Facts(call(GOOD), SERVED)[ServedFacts].port == 8000


def test_who_knocks_late_may_be_anybody() -> None:
    """Telnyx tries at once; people with wscat try later."""
    soon, late = call(turned_away("no_token", 401)), call(ACCEPTED, (40_000, turned_away("no_token", 401)[-1]))  # type: ignore[arg-type]

    assert calls.in_time(soon, calls.refused_sockets(soon, "no_token")[0][0])
    assert not calls.in_time(late, calls.refused_sockets(late, "no_token")[0][0])


def test_numbers_of_symptoms_are_read() -> None:
    """They are stored as texts."""
    found = calls.symptom(call(BOTH_WAYS, noticed("SYM013", lag_ms="812.5")), "SYM013")

    assert found is not None
    assert calls.measure(found, "lag_ms") == 812.5
    assert calls.measure(found, "nothing") == 0.0
    assert calls.first(call(STARTED), StreamStarted) is not None
