"""Files that tell a platform what to run."""

from __future__ import annotations

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

    def variable(self, name: str) -> str | None:
        """The value that the file gives to an environment variable."""
        return dict(self.environment).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployFacts:
    """The files in a folder that tell platforms how to run it. `unread` could not be read, and why."""

    plans: tuple[DeployPlan, ...]
    drain_s: float
    """What our server is set to wait for its calls when it is told to stop."""

    unread: tuple[tuple[str, str], ...] = ()

    def on(self, platform: str) -> tuple[DeployPlan, ...]:
        return tuple(plan for plan in self.plans if plan.platform == platform)
