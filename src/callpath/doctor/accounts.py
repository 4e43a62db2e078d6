"""What rules ask of AccountFacts. Each raises FactMissing where the account was not asked, or gave no answer."""

from __future__ import annotations

from dataclasses import dataclass

from callpath.doctor.facts import AccountFacts, FactMissing, Facts, ServedFacts, TelnyxCallFacts
from callpath.doctor.urls import same_url
from callpath.wire.api import CallControlApplication, DeliveryAttempt, WebhookDelivery
from callpath.wire.document import Json

_OF_CALLS = ("call.", "streaming.")


def known_account(facts: Facts) -> AccountFacts:
    """The account, where its key was accepted."""
    account = facts[AccountFacts]
    if not account.key_accepted:
        raise FactMissing(AccountFacts)
    return account


def the_application(facts: Facts) -> CallControlApplication:
    """The Call Control application that is meant."""
    application = known_account(facts).application
    if application is None:
        raise FactMissing(AccountFacts)
    return application


def named(application: CallControlApplication) -> str:
    """An application, so that a person finds it in the portal; written so that no report takes its id for a number."""
    where = f"id:{application.id}"
    return f"{application.application_name!r} ({where})" if application.application_name else where


def the_numbers(facts: Facts) -> tuple[Json, ...]:
    """The number that was asked for, or all that lead to the application."""
    account = known_account(facts)
    if not account.numbers and not account.numbers_listed:
        raise FactMissing(AccountFacts)
    return account.numbers


def the_voices(facts: Facts) -> tuple[Json, ...]:
    """Their voice settings."""
    account = known_account(facts)
    if not account.voices and (account.numbers or not account.numbers_listed):
        raise FactMissing(AccountFacts)
    return account.voices


def masked(number: object) -> str:
    """A phone number as it may be printed: enough for its owner to know it by."""
    text = str(number or "")
    return f"{text[:-7]}…{text[-4:]}" if len(text) > 9 else "…" + text[-2:]


def the_profile(facts: Facts) -> Json:
    """The outbound voice profile of the application."""
    profile = known_account(facts).outbound_profile
    if profile is None:
        raise FactMissing(AccountFacts)
    return profile


@dataclass(frozen=True, slots=True)
class Delivered:
    """How the newest webhook to our URL went, and how many in a row went like it."""

    delivery: WebhookDelivery
    attempt: DeliveryAttempt
    failed: int
    looked_at: int

    @property
    def status(self) -> int | None:
        """Our end's HTTP status; None where no answer came."""
        response = self.attempt.http.response if self.attempt.http else None
        return response.status if response is not None else None

    @property
    def body(self) -> str:
        response = self.attempt.http.response if self.attempt.http else None
        return (response.body or "") if response is not None else ""

    @property
    def by_callpath(self) -> bool:
        """Whether a callpath server gave the answer itself."""
        response = self.attempt.http.response if self.attempt.http else None
        headers = (response.headers or []) if response is not None else []
        return any(pair[0].lower() == "x-callpath" for pair in headers if pair)

    @property
    def codes(self) -> tuple[str, ...]:
        """Telnyx's codes; the schema says numbers, one of its examples has objects."""
        return tuple(
            str(error.get("code", "")) if isinstance(error, dict) else str(error) for error in self.attempt.errors or []
        )

    @property
    def evidence(self) -> tuple[str, ...]:
        event = self.delivery.webhook.event_type if self.delivery.webhook else ""
        request = self.attempt.http.request if self.attempt.http else None
        said = f"answered {self.status}" if self.status is not None else "no answer"
        codes = f", Telnyx's code {', '.join(self.codes)}" if self.codes else ""
        lines = [f"{self.delivery.started_at}: {event} to {request.url if request else '?'}: {said}{codes}"]
        if self.body.strip():
            lines.append(f"the answer began: {self.body.strip()[:160]!r}")
        lines.append(f"{self.failed} of the newest {self.looked_at} webhooks in a row went wrong")
        return tuple(lines)


def newest_failure(facts: Facts) -> Delivered | None:
    """The newest webhook to our URL where it was not delivered; None where it was. What went wrong before it was fixed
    is no fault any more: only the unbroken row of failures at the end counts, at today's URL."""
    account, call, served = facts.get(AccountFacts), facts.get(TelnyxCallFacts), facts.get(ServedFacts)
    rows = [
        row
        for source in (account, call)
        if source is not None and source.deliveries is not None
        for row in source.deliveries
    ]
    if (account is None or account.deliveries is None) and (call is None or call.deliveries is None):
        raise FactMissing(AccountFacts)
    url = account.application.webhook_event_url if account is not None and account.application is not None else None
    url = url or (served.webhook_url if served is not None else None)
    changed_at = (account.application.updated_at if account and account.application else None) or ""
    ours = [
        (row, attempt)
        for row in sorted({row.id: row for row in rows}.values(), key=lambda row: row.started_at or "", reverse=True)
        if row.webhook is not None and (row.webhook.event_type or "").startswith(_OF_CALLS)
        if (row.started_at or "") >= changed_at[:19]
        for attempt in _newest_to(row, url)
    ]
    if not ours:
        raise FactMissing(AccountFacts)
    failed = 0
    for _, attempt in ours:
        if _arrived(attempt):
            break
        failed += 1
    return Delivered(*ours[0], failed, len(ours)) if failed else None


def _arrived(attempt: DeliveryAttempt) -> bool:
    """Telnyx's specification says `delivered`, other guides of its own `success`; the answer itself is the same word."""
    response = attempt.http.response if attempt.http else None
    accepted = response is not None and response.status is not None and 200 <= response.status < 300
    return accepted or attempt.status in {"delivered", "success"}


def _newest_to(delivery: WebhookDelivery, url: str | None) -> list[DeliveryAttempt]:
    """The newest try to that URL, or none. What the failover URL took is no proof that ours works."""
    return [attempt for attempt in delivery.attempts or [] if url is None or _went_to(attempt, url)][:1]


def _went_to(attempt: DeliveryAttempt, url: str) -> bool:
    request = attempt.http.request if attempt.http else None
    return request is not None and same_url(request.url or "", url)
