"""A sound account and a sound service as short literals, for the examples of the rules about them."""

from __future__ import annotations

from typing import Any

from callpath.doctor.facts import AccountFacts, ApiRefusal, Facts, PlatformDomain, PlatformFacts, ServedFacts
from callpath.wire.api import CallControlApplication, WebhookDelivery
from callpath.wire.document import Json, read

OURS, OTHER = "2900000000000000001", "2900000000000000007"
URL = "https://calls.example.com/api/calls/webhook"
NUMBER = "+15555550199"

SERVED = ServedFacts(
    public_url="https://calls.example.com",
    webhook_url=URL,
    audio_url="wss://calls.example.com/api/calls/{call_session_id}/audio",
    port=8080,
)


def app(**changes: Any) -> CallControlApplication:
    """Our application, set right unless told otherwise."""
    document: Json = {
        "id": OURS,
        "application_name": "voice-agent",
        "active": True,
        "webhook_event_url": URL,
        "webhook_event_failover_url": "",
        "webhook_api_version": "2",
        "webhook_timeout_secs": None,
        "first_command_timeout": False,
        "inbound": {"channel_limit": 10},
        "outbound": {"channel_limit": 10, "outbound_voice_profile_id": "2900000000000000002"},
        "updated_at": "2026-01-02T00:00:00.000Z",
    }
    return read(CallControlApplication, document | changes, "example")


def number(**changes: Any) -> Json:
    """A row of /phone_numbers."""
    return {"id": "1", "phone_number": NUMBER, "status": "active", "connection_id": OURS} | changes


def voice(**changes: Any) -> Json:
    """Its voice settings: forwarding is switched on, but forwards nowhere, as with a new number."""
    forwarding = {"call_forwarding_enabled": True, "forwards_to": "", "forwarding_type": "always"}
    return {"phone_number": NUMBER, "call_forwarding": forwarding, "inbound_call_screening": "disabled"} | changes


def profile(**changes: Any) -> Json:
    """An outbound voice profile."""
    return {"name": "default", "enabled": True, "whitelisted_destinations": ["US", "CA"]} | changes


def account(*given_application: CallControlApplication | None, **changes: Any) -> Facts:
    """An account on which all is well, asked by its number, whose row is `row`; and what we serve. None for the
    application: it is not known which is meant."""
    row = changes.pop("row", number())
    application = given_application[0] if given_application else app()
    given: dict[str, Any] = {
        "key_accepted": True,
        "balance": {"balance": "12.00", "available_credit": "12.00", "currency": "USD"},
        "number_asked": NUMBER,
        "number_found": True,
        "number": row,
        "numbers": (row,),
        "voices": (voice(),),
        "connection_id": row.get("connection_id") or "",
        "application": application,
        "chosen_by": "number",
        "applications": () if application is None else (application,),
        "applications_listed": True,
        "outbound_profile": profile(),
        "deliveries": (),
    }
    return Facts(AccountFacts(**given | changes), SERVED)


def refused_key() -> Facts:
    """Telnyx does not take the key, so nothing else is known."""
    return Facts(AccountFacts(key_accepted=False, refusals=(ApiRefusal("balance", 401, "10009", "told"),)), SERVED)


def delivery(status: int | None, body: str = "", at: int = 0, **changes: Any) -> WebhookDelivery:
    """One webhook to our URL, `at` minutes past three, and what was answered; None: nothing was."""
    errors = changes.pop("errors", [] if status is not None and status < 300 else [75499])
    headers = changes.pop("headers", [])
    url = changes.pop("url", URL)
    answer = None if status is None else {"status": status, "headers": headers, "body": body}
    fine = status is not None and status < 300
    document: Json = {
        "id": f"00000000-0000-4000-8000-{at:012d}",
        "status": "delivered" if fine else "failed",
        "started_at": f"2026-01-02T03:{at:02d}:00.000Z",
        "webhook": {"event_type": "call.initiated", "id": f"event-{at}", "payload": {}},
        "attempts": [
            {
                "status": "delivered" if fine else "failed",
                "http": {"request": {"url": url, "headers": []}, "response": answer},
                "errors": errors,
            }
        ],
    }
    return read(WebhookDelivery, document | changes, "example")


def delivered(*rows: WebhookDelivery) -> Facts:
    """A sound account with these deliveries, in order of time."""
    return account(deliveries=rows[::-1])


def domain(name: str = "calls.example.com", **changes: Any) -> PlatformDomain:
    """A custom domain that is set up."""
    given: dict[str, Any] = {"target_port": 8080, "custom": True, "certificate": "VALID", "verified": True}
    return PlatformDomain(name, **given | changes)


def platform(*domains: PlatformDomain, **changes: Any) -> Facts:
    """A service on Railway that runs."""
    given: dict[str, Any] = {
        "platform": "Railway",
        "domains": domains or (domain(),),
        "deployments": (("SUCCESS", "2026-01-02T03:04:05.000Z"),),
        "replicas": 1,
        "volumes": (),
        "listening_port": 8080,
        "public_host": "calls.example.com",
        "shared_log": False,
    }
    return Facts(PlatformFacts(**given | changes), SERVED)
