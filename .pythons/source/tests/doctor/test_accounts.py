"""What rules ask of an account's facts."""

from __future__ import annotations

import msgspec
import pytest

from callpath.doctor.accounts import masked, named, newest_failure, the_numbers
from callpath.doctor.facts import AccountFacts, FactMissing, Facts, TelnyxCallFacts
from callpath.doctor.report import redacted
from callpath.doctor.rules.sample_account import SERVED, account, app, delivered, delivery, refused_key


@pytest.mark.parametrize(
    ("number", "shown"), [("+15555550199", "+1555…0199"), ("+493012345", "+49…2345"), ("5550199", "…99"), (None, "…")]
)
def test_a_number_is_shown_so_that_only_its_owner_knows_it(number: object, shown: str) -> None:
    """Reports are shared."""
    assert shown == masked(number)


def test_an_application_is_named_as_in_the_portal() -> None:
    """By its name and id, in a report, too: support can do nothing without it. Some have no name."""
    assert ("'voice-agent' (id:2900000000000000001)", "id:2900000000000000001") == (
        named(app()), named(app(application_name=None))
    )  # fmt: skip


def test_a_report_keeps_the_application() -> None:
    """Reports blot out what looks like a number of somebody."""
    assert named(app()) == redacted(named(app()))


def test_a_row_of_failures_counts_from_the_newest() -> None:
    """What went wrong before something was mended is history."""
    mended = delivered(delivery(502, at=1), delivery(200, at=2))
    broken = delivered(delivery(200, at=1), delivery(502, at=2), delivery(404, at=3))
    failure = newest_failure(broken)

    assert newest_failure(mended) is None
    assert failure is not None
    assert (404, 2, 3) == (failure.status, failure.failed, failure.looked_at)


def test_only_call_webhooks_to_the_url_of_today_count() -> None:
    """An account sends other webhooks, too, and sent some elsewhere before the URL was corrected."""
    message = delivery(500, at=3, webhook={"event_type": "message.received", "id": "m"})
    elsewhere = delivery(500, at=4, url="https://old.example.com/hook")
    before = account(app(updated_at="2026-01-02T04:00:00.000Z"), deliveries=(delivery(500),))

    assert newest_failure(delivered(delivery(200), message, elsewhere)) is None
    with pytest.raises(FactMissing):
        newest_failure(before)


def test_a_delivery_is_known_by_its_answer_whatever_it_is_called() -> None:
    """Telnyx's own pages have two words for it; taking one of them for a failure would be a false alarm."""
    attempts = delivery(200).attempts or []
    odd = msgspec.structs.replace(delivery(200), attempts=[msgspec.structs.replace(attempts[0], status="success")])

    assert newest_failure(delivered(odd)) is None


def test_what_the_failover_url_took_is_no_proof_for_ours() -> None:
    """The delivery counts as delivered, and this server missed it all the same."""
    ours, theirs = delivery(502), delivery(200, url="https://backup.example.net/hook")
    both = msgspec.structs.replace(theirs, attempts=[*(theirs.attempts or []), *(ours.attempts or [])])
    failure = newest_failure(delivered(both))

    assert failure is not None
    assert 502 == failure.status


def test_deliveries_of_one_call_are_enough() -> None:
    """`doctor call` asks for those of its own call, whether the account was asked or not."""
    facts = Facts(SERVED, TelnyxCallFacts(deliveries=(delivery(403),)))
    failure = newest_failure(facts)

    assert failure is not None
    assert 403 == failure.status


@pytest.mark.parametrize("facts", [Facts(), Facts(AccountFacts()), refused_key(), account(numbers=())])
def test_what_was_not_asked_is_not_known(facts: Facts) -> None:
    """An empty list for "nobody asked" would be a false finding."""
    with pytest.raises(FactMissing):
        the_numbers(facts)
