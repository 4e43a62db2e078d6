"""Which programs a case needs, and which of them are missing here."""

from __future__ import annotations

import functools
import os
import shutil
import socket
from pathlib import Path

from tests.lab.case import Case

NODE_MODULES = Path(__file__).parent / "node" / "node_modules"
DEBIAN_PYTHON = Path("/usr/lib/python3/dist-packages")
APACHE_MODULES = Path("/usr/lib/apache2/modules")


def missing(case: Case) -> list[str]:
    """What the case needs and this machine has not, in words."""
    lacks = [need for need in sorted(case.needs) if not present(need)]
    return lacks if can_use_low_ports() else [*lacks, "the right to use port 443"]


@functools.cache
def present(need: str) -> bool:
    """Whether a program is here, or what stands for one.

    `npm:NAME`, `apache:MODULE` and `debian:PACKAGE` (of the system's Python) are parts of one; `netns` is the right to
    make networks, with the tools for it.
    """
    kind, _, name = need.rpartition(":")
    if kind == "npm":
        return shutil.which("node") is not None and (NODE_MODULES / name).is_dir()
    if kind == "debian":
        return (DEBIAN_PYTHON / name).is_dir()
    if kind == "apache":
        return (APACHE_MODULES / f"mod_{name}.so").exists()
    if need == "netns":
        return os.geteuid() == 0 and all(shutil.which(tool) for tool in ("ip", "nft", "ss"))
    return shutil.which(need) is not None


@functools.cache
def can_use_low_ports() -> bool:
    """Whether port 443 of a loopback address may be bound, which every case relies on."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.15.254.1", 443))
        except OSError:
            return False
    return True
