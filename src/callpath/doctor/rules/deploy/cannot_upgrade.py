"""DEPLOY011: the start command runs the program in a way that has no WebSockets, or restarts at will."""

import re

from callpath.doctor.facts import DeployFacts, DeployPlan, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_deploy import plans, started

TRAPS = (
    (r"--ws[ =]none\b", "--ws none turns WebSockets off"),
    (
        r"\bgunicorn\b(?!.*(?:uvicorn|gevent|eventlet|-k\s+\S*asgi|worker-class))",
        "gunicorn's own workers know no WebSockets",
    ),
    (r"--reload\b|\bfastapi dev\b|\bnodemon\b|\bflask run\b", "a development server restarts when a file changes"),
)

ASGI_ONLY = {"fastapi", "starlette", "quart", "sanic", "django-channels", "channels", "litestar"}


def check(facts: Facts) -> Finding | None:
    seen = facts[DeployFacts]
    found = [
        f"{plan.file} starts `{command.text}`: {what}"
        for plan in seen.plans
        for command in plan.commands
        for pattern, what in TRAPS
        if re.search(pattern, command.text) and not _set_elsewhere(plan, command.text)
    ]
    if not found:
        return None
    fix = ""
    if "gunicorn" in found[0] and not seen.ours():
        asgi = ASGI_ONLY & set(seen.depends)
        fix = (
            "gunicorn -k uvicorn.workers.UvicornWorker -w 1 module:app"
            if asgi
            else "gunicorn --worker-class gthread --threads 100 -w 1 --timeout 0 module:app (flask-sock needs threads "
            "and no worker timeout)"
        )
    return Finding(found[0], tuple(found), fix=fix)


def _set_elsewhere(plan: DeployPlan, text: str) -> bool:
    """gunicorn takes its worker from a file or a variable, too: then the command alone proves nothing."""
    if "gunicorn" not in text:
        return False
    told = plan.variable("GUNICORN_CMD_ARGS") or ""
    named = re.search(r"(^|\s)(-c|--config)[ =]|--threads[ =]?\d", text)
    return bool(named) or bool(re.search(r"-k\s|worker-class|--threads", told))


CAUSE = Cause.of(
    "files",
    check,
    code="DEPLOY011",
    slug="start-command-cannot-upgrade",
    title="The start command runs a server that is not made for calls",
    owner="you",
    why="The webhook works under any server; the audio needs one that speaks WebSockets and stays up.",
    fix="Start `callpath serve module:app`; for another ASGI program uvicorn without --reload, or gunicorn with "
    "-k uvicorn.workers.UvicornWorker.",
    named={
        "gunicorn alone": plans(started("gunicorn app:app --bind 0.0.0.0:8000")),
        "a reloading server": plans(started("uvicorn app:app --host 0.0.0.0 --reload")),
    },
    quiet={
        "gunicorn with an ASGI worker": plans(started("gunicorn -k uvicorn.workers.UvicornWorker a:a")),
        "with a file of settings": plans(started("gunicorn -c conf.py app:app")),
        "threads, for flask-sock": plans(started("gunicorn --threads 100 app:app")),
        "callpath": plans(started("callpath serve")),
    },
)
