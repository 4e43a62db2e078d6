"""Files that tell a platform what to run."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartCommand:
    """How a program is started. `words` None: a shell runs `text`, and it is the shell that gets the signals."""

    text: str
    words: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployPlan:
    """What one file says. `stop_s` is the time between the stop signal and the kill, None where the file is silent, then
    the platform's own counts; `port` is where it sends requests; `sleeps` is what makes it sleep, in the file's words."""

    file: str
    platform: str
    commands: tuple[StartCommand, ...] = ()
    stop_s: float | None = None
    stop_is_text: bool = False
    """Whether that time stands there in quotes."""
    sleeps: str = ""
    replicas: int | None = None
    volume: bool = False
    volume_keyword: bool = False
    user: str = ""
    port: int | None = None
    health_path: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    proxied: tuple[str, ...] = ()
    """Lines of a proxy's location that passes requests on, for each such location."""

    builder: str = ""
    """How the platform is told to build, in the file's words."""

    ingress_class: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    services: tuple[str, ...] = ()
    """Of a Kubernetes ingress: its class, annotations, and the services that it leads to."""

    timeout_s: float | None = None
    """How long a balancer lets one request or stream live (BackendConfig, HAProxy, …)."""

    def variable(self, name: str) -> str | None:
        """The value that the file gives to an environment variable."""
        return dict(self.environment).get(name)


def _starts_something_else(text: str) -> bool:
    return bool(
        re.search(r"\b(uvicorn|gunicorn|hypercorn|daphne|node|npm|yarn|pnpm|bun|deno|flask|go|java|ruby|php)\b", text)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployFacts:
    """The files in a folder that tell platforms how to run it. `unread` could not be read, and why."""

    plans: tuple[DeployPlan, ...]
    drain_s: float
    """What our server is set to wait for its calls when it is told to stop."""

    unread: tuple[tuple[str, str], ...] = ()
    depends: tuple[str, ...] = ()
    """Names of packages that the program asks for, from requirements.txt, pyproject.toml and package.json."""

    def ours(self) -> bool:
        """Whether the program is a callpath server, as far as the files tell. Unknown counts as ours."""
        commands = [command.text for plan in self.plans for command in plan.commands]
        if any("callpath" in text for text in (*commands, *self.depends)):
            return True
        if any(name.startswith("CALLPATH_") for plan in self.plans for name, _ in plan.environment):
            return True
        return not self.depends and not any(_starts_something_else(text) for text in commands)

    def on(self, platform: str) -> tuple[DeployPlan, ...]:
        return tuple(plan for plan in self.plans if plan.platform == platform)
