"""What the host says of the service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlatformDomain:
    """A host name as the platform routes it. `target_port` None: the platform decides. `certificate` is the state's name
    without its prefix (VALID, ISSUING, ISSUE_FAILED, …), `certificate_error` the platform's word for why."""

    domain: str
    target_port: int | None = None
    custom: bool = False
    certificate: str = ""
    certificate_error: str = ""
    verified: bool | None = None
    dns_records: tuple[tuple[str, str, str], ...] = ()
    """(required value, current value, status)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFacts:
    """What the platform's own API says about the service. None: that could not be asked (`refusals` says why).

    `listening_port` is ours, where it is known; `public_host` the host of our public URL. `volumes` are mount paths.
    `shared_log` says whether our call log is a database that several replicas can share.
    """

    platform: str
    domains: tuple[PlatformDomain, ...] | None = None
    deployments: tuple[tuple[str, str], ...] | None = None
    """(status, created at), newest first."""

    replicas: int | None = None
    volumes: tuple[str, ...] | None = None
    listening_port: int | None = None
    listening_line: str = ""
    """The line of the log that names the port, where it was found there."""

    public_host: str = ""
    shared_log: bool | None = None
    error_lines: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFacts:
    """Whether a small object could be written, read and deleted where recordings are kept. `code` "": it could."""

    url: str
    code: str = ""
    said: str = ""
