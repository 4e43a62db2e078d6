"""What the dashboard is given from outside its own packages, and what its routes share.

`cli/dashboard.py` makes the `Door`, `app` attaches the running server to the `Context`. No module here imports `app`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from starlette.exceptions import HTTPException

from callpath.api.app import App, Order
from callpath.call.dials import DialView
from callpath.call.session import CallSession, fold
from callpath.clock import Clock
from callpath.config import Settings
from callpath.dashboard.access import Access
from callpath.errors import StoreError
from callpath.simulator.simulator import Simulator
from callpath.store.archive import Archive
from callpath.store.port import CallLog
from callpath.timeline import Entry
from callpath.wire.document import Json
from callpath.wire.webhook import Webhook

if TYPE_CHECKING:
    from callpath.doctor.verdict import Diagnosis, Step

PhoneCodec = Literal["PCMU", "PCMA", "G722", "OPUS"]
ReceiveWebhook = Callable[[Webhook, Json], Awaitable[bool]]


class Dials(Protocol):
    """The server's dials, as far as the API asks for them."""

    async def begin(self, order: Order) -> str:
        """Have a call dialled; its id. Raises InvalidRequestError, StoreError."""
        ...

    async def look(self, dial_id: str) -> DialView | None:
        """What the log tells of a dial. Raises StoreError."""
        ...

    async def hang_up(self, dial_id: str) -> bool:
        """End its call. False: it is over. Raises ControlError, InvalidRequestError, StoreError."""
        ...


def no_diagnosis(_entries: Sequence[Entry]) -> Diagnosis | None:
    """For a dashboard without the doctor's word on past calls."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """All that the dashboard needs from outside its own packages."""

    settings: Settings
    clock: Clock
    handler_name: str
    serve_for: Callable[[Simulator, PhoneCodec], AbstractAsyncContextManager[str]]
    """Serve the same App to a Telnyx simulator, in an encoding; yields the webhook URL to give it."""
    archive: Archive | None = None
    """Where recordings are kept; None: they stay in the data directory."""
    settings_now: Callable[[], Settings] | None = None
    """The settings as they would be after a restart: .env read again. May raise ConfigError."""
    probe_token: str | None = None
    """What the doctor must show to open `test-connection` here."""
    stopping: Callable[[], bool] = lambda: False
    """True once the server is shutting down: streams of events end, since they would keep it from ending."""
    diagnose_call: Callable[[Sequence[Entry]], Diagnosis | None] = no_diagnosis
    """The doctor's word on a past call, from its timeline."""
    diagnose_account: Callable[[Callable[[Step], None]], Awaitable[Diagnosis]] | None = None
    """Ask how the account, and the host, are set; each step is told. Only reads. May raise ConfigError."""


class Context:
    """What the routes work on: the door, and the running server's call log and webhooks once it has started."""

    def __init__(self, door: Door, access: Access | None = None) -> None:
        self.door = door
        self.access = access or Access(door.settings, door.clock)
        self.masked = door.settings.dashboard_numbers == "masked"
        """Whether phone numbers and pressed keys are hidden in every answer."""
        self.resend: ReceiveWebhook
        """Give the server a webhook once more. Set by `attach`."""
        self.app: App | None = None
        self.dials: Dials | None = None
        """The application, and what dials for it. Set by `attach`."""
        self._log: CallLog | None = None

    def attach(
        self, log: CallLog, receive_webhook: ReceiveWebhook, app: App | None = None, dials: Dials | None = None
    ) -> None:
        """Connect the routes to the server that has started."""
        self._log = log
        self.resend, self.app, self.dials = receive_webhook, app, dials

    @property
    def log(self) -> CallLog:
        """Raises StoreError before the server has started."""
        if self._log is None:
            raise StoreError("the call log is not open yet")
        return self._log

    async def timeline(self, identifier: str) -> tuple[CallSession, list[Entry]]:
        """The call with this session id (or its beginning), leg id or call_control_id. Raises HTTPException 404."""
        session = await self.log.find(identifier)
        if session is None:
            raise HTTPException(404, f"no call fits {identifier[:100]!r}")
        entries = await self.log.read(session)
        return fold(session, entries), entries
