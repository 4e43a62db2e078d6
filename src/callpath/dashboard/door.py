"""What the dashboard is given from outside its own packages. `app` fills it, and no module here imports `app`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from callpath.clock import Clock
from callpath.config import Settings
from callpath.simulator.simulator import Simulator
from callpath.store.archive import Archive
from callpath.timeline import Entry
from callpath.wire.document import Json
from callpath.wire.webhook import Webhook

if TYPE_CHECKING:
    from callpath.doctor.verdict import Diagnosis, Step

PhoneCodec = Literal["PCMU", "PCMA", "G722", "OPUS"]
ReceiveWebhook = Callable[[Webhook, Json], Awaitable[bool]]


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
    """Serve the same App to a stand-in Telnyx, in an encoding; yields the webhook URL to give it."""
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
