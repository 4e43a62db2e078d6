"""What the simulator saw of one call: webhooks and their answers, commands, requests turned away, sockets. Only facts.

`caller` and `simulator` collect them, `verdict` judges them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from callpath.wire.api import ApiError, DeliveryAttempt
from callpath.wire.document import Json
from callpath.wire.webhook import ConferenceWebhook, Webhook


@dataclass(slots=True)
class WebhookSeen:
    """One event that was sent, and each attempt to deliver it."""

    at_ms: float
    webhook: Webhook | ConferenceWebhook
    url: str
    attempts: list[DeliveryAttempt] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """For each attempt why it got no answer, or an empty text."""

    @property
    def event_type(self) -> str:
        return self.webhook.event_type

    @property
    def delivered(self) -> bool:
        return any(attempt.status == "delivered" for attempt in self.attempts)

    @property
    def statuses(self) -> list[int | None]:
        """The HTTP status of each attempt; None: no answer."""
        return [
            attempt.http.response.status if attempt.http and attempt.http.response else None
            for attempt in self.attempts
        ]


@dataclass(frozen=True, slots=True)
class CommandSeen:
    """One command that reached the call, and its answer. `errors` are Telnyx's, if it was refused."""

    at_ms: float
    name: str
    document: Json
    status: int
    errors: tuple[ApiError, ...] = ()
    by_texml: bool = False
    """A TeXML verb, not a request of the API."""

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(error.code for error in self.errors)


@dataclass(frozen=True, slots=True)
class RequestSeen:
    """One request that the API turned away before it reached a call: wrong key, wrong path, wrong id, not simulated."""

    at_ms: float
    method: str
    path: str
    """As it was sent, below the API's host; without its query."""
    name: str
    """The command's name, or `METHOD /path` of what is no command."""
    status: int
    errors: tuple[ApiError, ...]
    remark: str = ""
    """What about the request was wrong, where the simulator can tell more than the error does."""
    injected: bool = False
    """The status comes from a fault that was asked for."""

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(error.code for error in self.errors)


@dataclass(frozen=True, slots=True)
class DocumentSeen:
    """One TeXML document that was fetched. `problem` is empty where it could be followed."""

    at_ms: float
    url: str
    status: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SocketEnd:
    """How a media WebSocket ended, and which side ended it."""

    at_ms: float
    by: Literal["program", "simulator", "fault", "nobody"]
    """`nobody`: the connection was gone without a close frame. `fault`: an injected fault ended it."""
    code: int | None = None
    """The close code; None where no close frame came. 1005: a close frame without a code."""
    reason: str = ""
    """The close reason as the program sent it, or why the simulator closed the socket."""


def without_query(url: str) -> str:
    """A URL for a report: a query or a user name may hold a token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
