"""A network of a case's own: public-looking addresses, its own DNS, packets that vanish. Nothing leaves it.

The case's servers and the doctor both run inside; all addresses sit on the namespace's loopback device.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_numbers = itertools.count(1)

RESOLVERS = Path("/etc/netns")
"""`ip netns exec NAME` lays RESOLVERS/NAME/resolv.conf over the system's."""

DEVICE_LIMIT_BYTES = 1500
"""MTU of the namespace's device, so that a large packet looks like one on a real network."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """An isolated network. Prefix a command with `enter` to run it inside."""

    name: str

    @property
    def enter(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    async def add_address(self, address: str) -> None:
        """Give the namespace one more address, IPv4 or IPv6, usable at once."""
        if ":" in address:
            await run(*self.enter, "ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
        else:
            await run(*self.enter, "ip", "addr", "add", f"{address}/32", "dev", "lo")

    async def refuse_route(self, address: str) -> None:
        """Make `address` unreachable: the kernel says "no route to host" at once."""
        await run(*self.enter, "ip", "route", "add", "unreachable", address)

    async def lose_route(self, address: str) -> None:
        """Make packets to `address` disappear without a word."""
        await run(*self.enter, "nft", "add", "table", "inet", "lost")
        await run(*self.enter, "nft", "add chain inet lost out { type filter hook output priority 0; }")
        family = "ip6" if ":" in address else "ip"
        await run(*self.enter, "nft", f"add rule inet lost out {family} daddr {address} drop")
        await run(*self.enter, "ip", "route", "add", address, "dev", "lo")

    def use_resolver(self, address: str) -> None:
        """Make `address` the system's name server for what runs inside."""
        place = RESOLVERS / self.name
        place.mkdir(parents=True, exist_ok=True)
        (place / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:2 attempts:1\n")

    async def filter(self, rule: str) -> None:
        """Add one nft rule to what comes in, such as `tcp dport 443 drop`."""
        await run(*self.enter, "nft", "add", "table", "inet", "lab")
        await run(*self.enter, "nft", "add chain inet lab in { type filter hook input priority 0; }")
        await run(*self.enter, "nft", f"add rule inet lab in {rule}")

    async def iptables(self, *rule: str) -> None:
        """Add one rule with iptables, as most servers' own scripts do."""
        await run(*self.enter, "iptables", *rule)


@asynccontextmanager
async def namespace() -> AsyncIterator[Namespace]:
    """Make a network and remove it again. Needs root."""
    made = Namespace(f"callpath-lab-{os.getpid()}-{next(_numbers)}")
    await run("ip", "netns", "add", made.name)
    try:
        await run(*made.enter, "ip", "link", "set", "lo", "mtu", str(DEVICE_LIMIT_BYTES), "up")
        yield made
    finally:
        await run("ip", "netns", "del", made.name)
        shutil.rmtree(RESOLVERS / made.name, ignore_errors=True)


async def run(*command: str) -> None:
    """Run a short command to its end; raises RuntimeError with what it said if it failed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {said.decode(errors='replace').strip()}")
