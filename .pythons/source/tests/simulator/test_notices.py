"""Where a call's own commands send its events."""

from __future__ import annotations

from callpath.simulator.notices import Address, Notices
from callpath.simulator.refusal import accept_command
from callpath.wire.command import Answer, Dial, Transfer
from callpath.wire.document import Json

APPLICATION = Address(None, "POST", None)


def notices(*bodies: Json) -> Notices:
    read = Notices()
    for body in bodies:
        command = accept_command("answer", body)
        assert isinstance(command, Answer | Dial | Transfer)
        read.read(command)
    return read


def test_without_a_word_the_application_gets_them() -> None:
    """As most programs have it."""
    assert APPLICATION == notices({}).address("call.answered")


def test_one_address_for_one_kind_wins() -> None:
    """And each address has its own method."""
    read = notices(
        {
            "webhook_url": "http://a.example/all",
            "webhook_url_method": "GET",
            "webhook_urls": {"call.hangup": "http://a.example/hangup"},
        }
    )

    assert Address("http://a.example/all", "GET", None) == read.address("call.answered")
    assert Address("http://a.example/hangup", "POST", None) == read.address("call.hangup")


def test_the_newest_command_wins_and_forgets_nothing_else() -> None:
    """`webhook_url` holds for the later events of the call."""
    read = notices(
        {
            "webhook_url": "http://a.example",
            "webhook_url_method": "GET",
            "webhook_retries_policies": {"call.hangup": {"retries_ms": [10, 20]}},
        },
        {"webhook_url": "http://b.example", "webhook_urls_method": "GET"},
    )

    assert Address("http://b.example", "POST", (10, 20)) == read.address("call.hangup")


def test_an_empty_policy_means_no_retry() -> None:
    """Not Telnyx's own pauses."""
    assert () == notices({"webhook_retries_policies": {"call.hangup": {}}}).address("call.hangup").retries_ms
