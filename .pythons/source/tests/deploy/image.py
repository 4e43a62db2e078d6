"""Carries out a Dockerfile without an engine: each stage is an overlay over this machine's own root, entered by chroot.

What it knows is what our Dockerfile says; any other instruction is refused. The base image is not fetched: this machine's
Python stands for it, so what is tried is every step of ours, the users and paths, and the command that starts.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction with its continuation lines joined."""

    name: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The exec form as its list; anything else as shell words."""
        return json.loads(self.rest) if self.rest.startswith("[") else shlex.split(self.rest)


def parse_dockerfile(text: str) -> list[Instruction]:
    """The instructions, without comments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    split = (line.partition(" ") for line in joined.splitlines())
    return [Instruction(name.upper(), rest.strip()) for name, _, rest in split]


def why_not_here() -> str:
    """Why no stage can be entered on this machine; empty if one can."""
    if os.geteuid() != 0:
        return "chroot needs root"
    if not Path("/usr/bin/python3").exists():
        return "no /usr/bin/python3 to stand for the base image"
    tried = subprocess.run(["/usr/bin/python3", "-c", "import venv, ensurepip"], check=False, capture_output=True)
    if tried.returncode != 0:
        return "/usr/bin/python3 makes no environments (python3-venv)"
    header = "import pathlib, sysconfig; assert pathlib.Path(sysconfig.get_path('include'), 'Python.h').exists()"
    headers = subprocess.run(["/usr/bin/python3", "-c", header], check=False, capture_output=True)
    return "" if headers.returncode == 0 and shutil.which("cc") else "no C compiler, or no headers (gcc, python3-dev)"


@dataclass(slots=True)
class Stage:
    """One FROM and what follows it. `top` holds what differs from this machine's root."""

    top: Path
    work: Path
    root: Path
    directory: str = "/"
    user: str = "root"
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"

    def entering(self, *command: str) -> list[str]:
        """The command line that runs `command` inside."""
        mount = (
            f"/bin/mount -t overlay overlay -o lowerdir=/,upperdir={self.top},workdir={self.work} {self.root}"
            f" && /bin/mount -t proc proc {self.root}/proc && /bin/mount --rbind /dev {self.root}/dev"
            f" && exec /usr/sbin/chroot --userspec={self.user} {self.root}"
            f' /bin/sh -c \'cd "$0" && exec "$@"\' {self.directory} "$@"'
        )
        return ["unshare", "--mount", "/bin/sh", "-c", mount, "enter", *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.entering(*command), env=self.environment, capture_output=True, text=True, check=False, timeout=600
        )

    def start(self, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """The image's own command, as its own user; all it prints comes through `stdout`."""
        return subprocess.Popen(
            self.entering(*self.command),
            env=self.environment | dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


class Build:
    """Carries a Dockerfile out below `place`, with files from `context` that .dockerignore lets in."""

    def __init__(self, context: Path, place: Path) -> None:
        self._context = context
        self._place = place
        self._admitted = [
            line.removeprefix("!")
            for line in (context / ".dockerignore").read_text().splitlines()
            if line.startswith("!")
        ]
        self.stages: dict[str, Stage] = {}

    def build(self) -> Stage:
        """The last stage. A step that fails raises RuntimeError with its output."""
        stage = self._begin("unnamed")
        for instruction in parse_dockerfile((self._context / "Dockerfile").read_text()):
            if instruction.name == "FROM":
                _, _, name = instruction.rest.partition(" AS ")
                stage = self._begin(name or "last")
            else:
                self._follow(stage, instruction)
        return stage

    def _begin(self, name: str) -> Stage:
        folder = self._place / name
        stage = Stage(folder / "top", folder / "work", folder / "root")
        for path in (stage.top, stage.work, stage.root):
            path.mkdir(parents=True, exist_ok=True)
        stage.top.chmod(0o755)
        self.stages[name] = stage
        return stage

    def _follow(self, stage: Stage, instruction: Instruction) -> None:
        match instruction.name:
            case "RUN":
                done = stage.run("/bin/sh", "-c", instruction.rest)
                if done.returncode != 0:
                    raise RuntimeError(f"RUN {instruction.rest}\n{done.stdout}{done.stderr}")
            case "COPY":
                self._copy(stage, instruction.words)
            case "WORKDIR":
                stage.directory = instruction.rest
                (stage.top / instruction.rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "ENV":
                for setting in instruction.words:
                    name, _, value = setting.partition("=")
                    stage.environment[name] = value
            case "USER":
                stage.user = instruction.rest
            case "CMD":
                assert instruction.rest.startswith("["), "the shell form keeps SIGTERM from the server"
                stage.command = instruction.words
            case "HEALTHCHECK":
                _, _, command = instruction.rest.partition("CMD ")
                stage.health = json.loads(command)
            case "STOPSIGNAL":
                stage.stop_signal = instruction.rest
            case "EXPOSE":
                assert instruction.rest.isdigit()
            case other:
                raise RuntimeError(f"image.py does not know {other}")

    def _copy(self, stage: Stage, words: list[str]) -> None:
        source_root = self._context
        if words[0].startswith("--from="):
            source_root = self.stages[words.pop(0).removeprefix("--from=")].top
        *sources, target = words
        for source in sources:
            found = source_root / source.lstrip("/")
            if source_root is self._context and not any(fnmatch(source, admitted) for admitted in self._admitted):
                raise RuntimeError(f"COPY {source}: .dockerignore keeps it out of the build")
            inside = target if target.startswith("/") else f"{stage.directory}/{target}"
            goal = stage.top / inside.lstrip("/")
            if target.endswith("/"):
                goal = goal / found.name
            goal.parent.mkdir(parents=True, exist_ok=True)
            if found.is_dir():
                shutil.copytree(found, goal, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(found, goal)


def exec_forms(text: str) -> Iterator[str]:
    """The instructions that start a process later, which must be in exec form."""
    for instruction in parse_dockerfile(text):
        if instruction.name in ("CMD", "ENTRYPOINT"):
            yield instruction.rest
