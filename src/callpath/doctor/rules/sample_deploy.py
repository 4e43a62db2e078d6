"""What a folder tells platforms, as short literals for the examples of the DEPLOY rules."""

from __future__ import annotations

import shlex
from typing import Any

from callpath.doctor.facts import DeployFacts, DeployPlan, Facts, StartCommand


def plans(*found: DeployPlan, drain_s: float = 30.0, depends: tuple[str, ...] = ()) -> Facts:
    return Facts(DeployFacts(plans=found, drain_s=drain_s, depends=depends))


def plan(platform: str, **what: Any) -> DeployPlan:
    return DeployPlan(file=f"{platform.lower()} file", platform=platform, **what)


def ingress(kind: str, *annotations: tuple[str, str], services: tuple[str, ...] = ("bot",)) -> DeployPlan:
    """A Kubernetes ingress of this class."""
    return plan("Ingress", ingress_class=kind, annotations=annotations, services=services)


def started(text: str, platform: str = "Docker", **what: Any) -> DeployPlan:
    """A plan that starts `text` without a shell."""
    return plan(platform, commands=(StartCommand(text, tuple(shlex.split(text))),), **what)


def shelled(text: str, platform: str = "Docker") -> DeployPlan:
    """A plan that has a shell start `text`."""
    return plan(platform, commands=(StartCommand(text),))
