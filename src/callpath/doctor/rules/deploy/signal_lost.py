"""DEPLOY004: something stands between the platform and the server, and keeps the stop signal."""

import re

from callpath.doctor.facts import DeployFacts, Facts, StartCommand
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_deploy import plans, shelled, started

RUNNERS = {"npm", "yarn", "pnpm"}
"""They start a shell that starts the program, and npm exits at SIGTERM without waiting for it."""


def check(facts: Facts) -> Finding | None:
    kept = [
        (plan.file, command.text) for plan in facts[DeployFacts].plans for command in plan.commands if _kept(command)
    ]
    if not kept:
        return None
    words = re.sub(r"^(exec\s+)?", "", kept[0][1])
    theirs = (
        ""
        if facts[DeployFacts].ours()
        else (
            'CMD ["node", "src/index.js"] in place of npm start; in a script: exec in front of the last command.'
            if any(re.search(r"\b(npm|yarn|pnpm|node)\b", text) for _, text in kept)
            else f"Put exec in front of the command that is to get the signal: exec {words}"
        )
    )
    return Finding(
        fix=theirs,
        summary=f"{kept[0][0]} starts the server through a shell or a script runner, which gets the stop signal",
        evidence=tuple(f"{file}: {text}" for file, text in kept),
    )


def _kept(command: StartCommand) -> bool:
    if command.words is None:
        return not re.search(r"(^|[;&]\s*)exec\s", command.text)
    first = command.words[0].rpartition("/")[2] if command.words else ""
    in_shell = first in {"sh", "bash", "dash", "ash"} and "-c" in command.words and "exec " not in command.text
    return in_shell or first in RUNNERS


CAUSE = Cause.of(
    "files",
    check,
    code="DEPLOY004",
    slug="stop-signal-lost",
    title="The server never hears that it should stop",
    owner="you",
    why="A platform sends SIGTERM to the first process of the container. A shell in that place does not pass it on, "
    "so nothing is drained, and after the stop time every call that is up is cut.",
    fix='Start the server itself: CMD ["callpath", "serve"] in a Dockerfile, or `exec callpath serve` where a shell '
    "is "
    "needed.",
    named={
        "shell form with a variable": plans(shelled("callpath serve --port $PORT")),
        "npm in between": plans(started("npm start", "Heroku")),
    },
    quiet={
        "a shell that steps aside": plans(shelled("cd /app && exec callpath serve")),
        "exec form": plans(started("callpath serve")),
    },
)
