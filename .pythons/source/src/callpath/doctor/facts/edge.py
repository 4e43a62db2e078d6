"""What the platform's edge logged."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeRow:
    """One request as the platform's edge logged it. `upstream_errors` are its own words about reaching the app."""

    at_unix_ms: int
    method: str
    path: str
    status: int
    host: str = ""
    duration_ms: float | None = None
    upstream_ms: float | None = None
    upstream_address: str = ""
    upstream_errors: tuple[str, ...] = ()
    response_details: str = ""
    request_id: str = ""
    source_ip: str = ""
    user_agent: str = ""
    region: str = ""
    deployment_id: str = ""
    upgrade: bool = False
    """The row itself shows that an upgrade was asked for: its headers, or the edge's own word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeFacts:
    """The edge's rows that bear on this call: its own path, and webhooks at its time. `from` and `until` bound what the
    log covers, all rows considered; rows of upgrades may be written only when the socket ends."""

    platform: str
    rows: tuple[EdgeRow, ...]
    from_unix_ms: int
    until_unix_ms: int
