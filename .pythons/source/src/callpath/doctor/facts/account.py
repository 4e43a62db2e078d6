"""What Telnyx says of the account and of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from callpath.wire.api import CallControlApplication, CallEvent, CallStatus, WebhookDelivery
from callpath.wire.document import Json

ChosenBy = Literal["", "asked", "number", "url", "host", "only one"]
"""Why this application: its id was given, its webhook URL is ours, or has our host, the number leads to it, or the account
has no other."""


@dataclass(frozen=True, slots=True)
class ApiRefusal:
    """Telnyx answered a question of the doctor's with an error. `status` None: no answer came."""

    question: str
    status: int | None
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """How the account is set. A part that could not be asked is None, and `refusals` says why.

    `number` is the row of /phone_numbers (free JSON) of the number that was asked for, `number_voice` its voice settings;
    `connection_id` is where it leads; with `application_missing` that is no Call Control application, and
    `connection_kind` is what it is instead ("": nothing). `application` is the one that is meant, and `chosen_by` says
    why that one: it may be another than the number's. `numbers` and `voices` are of the asked number, or of all that lead
    to the application.
    """

    key_accepted: bool | None = None
    balance: Json | None = None
    number_asked: str = ""
    number_found: bool | None = None
    number: Json | None = None
    number_voice: Json | None = None
    numbers: tuple[Json, ...] = ()
    numbers_listed: bool = False
    other_numbers: tuple[Json, ...] = ()
    """Where none leads to the application: what else the account has."""

    voices: tuple[Json, ...] = ()
    connection_id: str = ""
    connection_kind: str = ""
    application: CallControlApplication | None = None
    application_missing: bool = False
    chosen_by: ChosenBy = ""
    applications: tuple[CallControlApplication, ...] = ()
    applications_listed: bool = False
    outbound_profile: Json | None = None
    outbound_profile_missing: bool = False
    destination: str = ""
    """A number that is to be dialled; "" where calls only come in, as far as is known."""

    deliveries: tuple[WebhookDelivery, ...] | None = None
    """Of the last day, newest first."""

    public_key_fits: bool | None = None
    looked_at_unix_ms: int = 0
    refusals: tuple[ApiRefusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TelnyxCallFacts:
    """One call as Telnyx tells it. `missed` are events of `events` that our timeline does not have."""

    key_accepted: bool | None = None
    events: tuple[CallEvent, ...] | None = None
    deliveries: tuple[WebhookDelivery, ...] | None = None
    status: CallStatus | None = None
    detail_records: tuple[Json, ...] | None = None
    missed: tuple[CallEvent, ...] = ()
    refusals: tuple[ApiRefusal, ...] = ()
