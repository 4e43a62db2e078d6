"""Where and how a call's own commands want its events delivered. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from callpath.wire.command import Answer, Dial, Transfer
from callpath.wire.document import Json

Method = Literal["POST", "GET"]


class Address(NamedTuple):
    """For one event. `url` None: the application's; `retries_ms` None: Telnyx's own pauses."""

    url: str | None
    method: Method
    retries_ms: tuple[int, ...] | None


class Notices:
    """What the newest command said of each: `webhook_urls` for one kind of event, else `webhook_url`."""

    def __init__(self) -> None:
        self._url: str | None = None
        self._method: Method = "POST"
        self._urls: dict[str, str] = {}
        self._urls_method: Method = "POST"
        self._policies: dict[str, Json] = {}

    def read(self, command: Answer | Dial | Transfer) -> None:
        """Those fields that have no name in `wire` were checked by `refusal`."""
        extra = command.extra
        method = extra.get("webhook_url_method") if isinstance(command, Transfer) else command.webhook_url_method
        if command.webhook_url is not None:
            self._url, self._method = command.webhook_url, method or "POST"
        self._urls |= extra.get("webhook_urls") or {}
        self._urls_method = extra.get("webhook_urls_method") or self._urls_method
        self._policies |= extra.get("webhook_retries_policies") or {}

    def address(self, event_type: str) -> Address:
        """Where an event of that kind goes."""
        policy = self._policies.get(event_type)
        retries_ms = None if policy is None else tuple(policy.get("retries_ms") or ())
        if event_type in self._urls:
            return Address(self._urls[event_type], self._urls_method, retries_ms)
        return Address(self._url, self._method, retries_ms)
