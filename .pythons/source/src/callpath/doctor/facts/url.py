"""The stream URL, part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HostClass = Literal["public", "loopback", "private", "link-local", "unspecified", "internal-name", "bare-name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlFacts:
    """The URL as given and as read. `port` is the effective one; `target` is path and query as sent on the wire."""

    raw: str
    scheme: str = "wss"
    host: str = ""
    port: int = 443
    port_given: bool = False
    path: str = "/"
    query: str = ""
    fragment: str = ""
    userinfo: bool = False
    problem: str = ""
    host_class: HostClass = "public"
    host_is_address: bool = False
    vouched: bool = False
    token_given: bool = False
    local: bool = False
    """The user said that this is a local test: reachability from outside is not examined."""

    made_up_call: bool = False
    """The call id in the path belongs to no call, so that a careful server refuses or closes."""

    listen_only: bool = False
    """The user said that the server only listens: no audio is expected back."""

    @property
    def secure(self) -> bool:
        """Whether the doctor speaks TLS: only `ws` and `http` are taken at their word."""
        return self.scheme not in {"ws", "http"}

    @property
    def target(self) -> str:
        return self.path + (f"?{self.query}" if self.query else "")

    @property
    def authority(self) -> str:
        """The Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"
