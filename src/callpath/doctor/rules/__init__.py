"""One file a cause, in a folder per layer; a family of alike causes is one file with a table.

To add a cause: its file with a `CAUSE` (or a tuple `CAUSES`), its place in ../precedence.py, `make docs`. Files are
found by a walk through the folders; their order means nothing, precedence.py alone decides.

    RULES           every sign, in the order of precedence
    rules_of(...)   those of the named sources
    known(name)     causes by code, old code or slug

Layers: url, dns, tcp, tls, http, handshake, routing, auth, protocol, codec, pacing, keepalive, deploy, webhook, account,
call_control, network, handler; unknown.py is of last resort.
sample.py, sample_call.py, sample_edge.py, sample_account.py and sample_deploy.py hold facts as short literals, for the
examples. Rules import no asyncio, socket or clock: facts in, finding out.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace

from callpath.doctor import precedence
from callpath.doctor.rule import Cause, Rule, SignSource

__all__ = ["CAUSES", "RULES", "known", "rules_of"]


def _found() -> list[Cause]:
    causes: list[Cause] = []
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        loaded = importlib.import_module(module.name)
        layer = module.name.split(".")[-2].replace("_", "-")
        here = (*getattr(loaded, "CAUSES", ()), *([loaded.CAUSE] if hasattr(loaded, "CAUSE") else ()))
        causes += [cause if cause.layer else replace(cause, layer=layer) for cause in here]
    return causes


CAUSES: tuple[Cause, ...] = tuple(sorted(_found(), key=precedence.place_of_cause))
RULES: tuple[Rule, ...] = tuple(
    sorted((rule for cause in CAUSES for rule in cause.rules()), key=precedence.place_of_rule)
)


def rules_of(*sources: SignSource, fallback: bool = False) -> tuple[Rule, ...]:
    """The signs of these sources in the order of precedence; with `fallback` only those of last resort."""
    return tuple(rule for rule in RULES if rule.source in sources and rule.fallback is fallback)


def known(name: str) -> tuple[Cause, ...]:
    """The causes that have or had this code, or this slug; any case."""
    wanted = name.lower()
    return tuple(
        cause
        for cause in CAUSES
        if wanted in {name.lower() for name in (cause.code, cause.slug, *cause.old_codes, *cause.merged)}
    )
