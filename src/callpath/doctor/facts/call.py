"""A past call, and what the server knows beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from callpath.call.session import CallSession
from callpath.store.port import RejectedRequest
from callpath.timeline import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """One call, from our own timeline or from one that was rebuilt from logs; `state` is the fold over `entries`.

    `shown` holds the kinds (as `timeline.kind_of` names them) that this source is known to write. A timeline shows all of
    them; logs show those that were seen for any call in the same file. A kind that is not shown may have happened all
    the same: its absence proves nothing. `looked_at_unix_ms` is when the source was read, or where the logs end: a stage
    that could still come by then is not missing.
    """

    session: str
    source: Literal["timeline", "logs"]
    entries: tuple[Entry, ...]
    state: CallSession
    shown: frozenset[str]
    looked_at_unix_ms: int

    def shows(self, kind: str) -> bool:
        """Whether the absence of `kind` from `entries` says that it did not happen."""
        return kind in self.shown


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFacts:
    """What our server serves, from its settings. `port` is what it listens on; URLs are as the world should see them."""

    public_url: str
    webhook_url: str
    audio_url: str
    """With `{call_session_id}` in it."""

    port: int
    token_in: Literal["header", "path", "off"] = "header"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalFacts:
    """Webhooks and upgrades that were turned away before they could be tied to a call: how many ever, and the latest."""

    count: int
    latest: tuple[RejectedRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WayFacts:
    """The way to the server as it is now, for a call that is over: its own stream URL was tried, and then the server's
    test connection beside it.

    `word` is the reason with which a callpath server itself refused (`call_ended`, `unknown_session`, …); "" where none
    spoke. `through` says whether a whole stream was carried on the test connection; None: it was not tried.
    """

    url: str
    probed_at_unix_ms: int
    word: str = ""
    detail: str = ""
    through: bool | None = None
