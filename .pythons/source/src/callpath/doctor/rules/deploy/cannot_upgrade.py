"""DEPLOY011: the start command runs the program in a way that has no WebSockets, or restarts at will."""

from __future__ import annotations

import re

from callpath.doctor.facts import DeployFacts, Facts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_deploy import plans, started

TRAPS = (
    (r"--ws[ =]none\b", "--ws none turns WebSockets off"),
    (
        r"\bgunicorn\b(?!.*(?:uvicorn|gevent|eventlet|-k\s+\S*asgi|worker-class))",
        "gunicorn's own workers know no WebSockets",
    ),
    (r"--reload\b|\bfastapi dev\b|\bnodemon\b|\bflask run\b", "a development server restarts when a file changes"),
)


def check(facts: Facts) -> Finding | None:
    found = [
        f"{plan.file} starts `{command.text}`: {what}"
        for plan in facts[DeployFacts].plans
        for command in plan.commands
        for pattern, what in TRAPS
        if re.search(pattern, command.text)
    ]
    return Finding(found[0], tuple(found)) if found else None


CAUSE = Cause(
    code="DEPLOY011",
    slug="start-command-cannot-upgrade",
    title="The start command runs a server that is not made for calls",
    layer="deploy",
    owner="you",
    why="The webhook works under any server; the audio needs one that speaks WebSockets and stays up.",
    fix="Start `callpath serve module:app`; for another ASGI program uvicorn without --reload, or gunicorn with "
    "-k uvicorn.workers.UvicornWorker.",
    signs=(
        Sign(
            "files",
            check,
            examples=(
                Example("gunicorn alone", plans(started("gunicorn app:app --bind 0.0.0.0:8000")), fires=True),
                Example("a reloading server", plans(started("uvicorn app:app --host 0.0.0.0 --reload")), fires=True),
                Example(
                    "gunicorn with an ASGI worker",
                    plans(started("gunicorn -k uvicorn.workers.UvicornWorker a:a")),
                    fires=False,
                ),
                Example("callpath", plans(started("callpath serve")), fires=False),
                Example("a URL was examined", nothing(), fires=None),
            ),
        ),
    ),
)
