"""callpath on other Pythons, and with other versions of its dependencies, than those of .venv:

    python tools/pythons.py tests      core, server and store tests on every CPython >= 3.11 here (make test-pythons)
    python tools/pythons.py lowest     the server's tests on the lowest versions that are allowed (make test-lowest)
    python tools/pythons.py wheels     the pure wheel, the sdist, and a compiled wheel for every CPython here; each wheel is
                                       installed in a fresh environment and takes a call on the simulator (make wheels)

uv makes the environments below .pythons/, and makes them again when pyproject.toml changes. Other tests may be named:
python tools/pythons.py tests tests/server/test_media.py -x
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".pythons"
OLDEST = (3, 11)
EXTRAS = ("codecs", "otel", "postgres", "s3")

CORE = (
    "tests/wire",
    "tests/audio",
    "tests/call",
    "tests/test_clock.py",
    "tests/test_control.py",
    "tests/test_timeline.py",
)
SERVER = ("tests/server", "tests/test_testing.py", "tests/test_pytest_plugin.py", "tests/test_private_api.py")
STORE = ("tests/store",)

NOT_COPIED = (
    "__pycache__",
    "*.so",
    ".pythons",
    ".venv*",
    ".git",
    "node_modules",
    ".*_cache",
    ".cache",
    "dist",
    "*-data",
)

WHO = "import platform, sys; print(platform.python_implementation(), *sys.version_info[:3])"


def pythons() -> dict[tuple[int, int], Path]:
    """The newest CPython of each minor version: of the search path, and of pyenv where it is installed."""
    found: dict[tuple[int, int], tuple[int, Path]] = {}
    for path in _candidates():
        told = subprocess.run([path, "-c", WHO], check=False, capture_output=True, text=True)
        words = told.stdout.split()
        if told.returncode or words[0] != "CPython":
            continue
        minor, patch = (int(words[1]), int(words[2])), int(words[3])
        if minor >= OLDEST and patch > found.get(minor, (-1, path))[0]:
            found[minor] = patch, path
    return {minor: path for minor, (_, path) in sorted(found.items())}


def _candidates() -> list[Path]:
    names = [f"python3.{number}" for number in range(OLDEST[1], OLDEST[1] + 10)]
    paths = [Path(one) for one in (sys.executable, *map(shutil.which, names)) if one]
    root = os.environ.get("PYENV_ROOT") or (_said("pyenv", "root") if shutil.which("pyenv") else "")
    if root:
        paths += Path(root).glob("versions/*/bin/python3")
    return paths


def _said(*command: str | Path) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def uv(*arguments: str | Path, env: Mapping[str, str] | None = None) -> None:
    """Run uv, with the package indexes that pip is set to. Raises CalledProcessError."""
    program = Path(sysconfig.get_path("scripts")) / "uv"
    subprocess.run([program, *arguments], cwd=ROOT, env={**os.environ, **_indexes(), **(env or {})}, check=True)


def _indexes() -> dict[str, str]:
    """pip's settings as uv's. uv looks at no file of pip's, and takes a package from the first index only unless told."""
    names = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "constraint": "UV_CONSTRAINT",
        "cert": "SSL_CERT_FILE",
    }
    settings: dict[str, str] = {}
    for line in _said(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        kind = name.rpartition(".")[2]
        if kind in names:
            settings[names[kind]] = value.strip("'\"").replace("\\n", " ")
    return settings and {"UV_INDEX_STRATEGY": "unsafe-best-match", **settings}


def environment(name: str, python: Path, requirements: Sequence[str | Path], *, keep: bool = True) -> Path:
    """A virtual environment of `python` with `requirements`; returns its interpreter. Made once for each pyproject.toml."""
    folder, mark = PLACE / name, PLACE / name / ".ready"
    state = hashlib.sha256(
        (ROOT / "pyproject.toml").read_bytes() + json.dumps([str(python), *map(str, requirements)]).encode()
    )
    inside = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if keep and mark.exists() and mark.read_text() == state.hexdigest():
        return inside
    shutil.rmtree(folder, ignore_errors=True)
    uv("venv", "--quiet", "--python", python, folder)
    uv("pip", "install", "--quiet", "--python", inside, *requirements)
    mark.write_text(state.hexdigest())
    return inside


def test(
    name: str, python: Path, requirements: Sequence[str | Path], asked: Sequence[str], usual: Sequence[str]
) -> int:
    """Run tests in an environment of their own. Returns pytest's exit code."""
    inside = environment(name, python, requirements)
    print(f"--- {name}: {_said(inside, '--version')}", flush=True)
    command = [inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(asked or usual)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def test_all(asked: Sequence[str]) -> int:
    """Core, server and store on each Python."""
    codes = [
        test(
            f"{major}.{minor}",
            path,
            ["--editable", f".[{','.join(EXTRAS)}]", "--group", "dev"],
            asked,
            [*CORE, *SERVER, *STORE],
        )
        for (major, minor), path in pythons().items()
    ]
    return max(codes)


def test_lowest(asked: Sequence[str]) -> int:
    """The server on the lowest versions of what it depends on; test tools are the newest."""
    (major, minor), path = next(iter(pythons().items()))
    PLACE.mkdir(exist_ok=True)
    lowest = PLACE / "lowest.txt"
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    uv(
        "pip",
        "compile",
        "--quiet",
        "--python",
        path,
        "--resolution",
        "lowest-direct",
        *extras,
        "pyproject.toml",
        "-o",
        lowest,
    )
    requirements = ["--editable", f".[{','.join(EXTRAS)}]", "--group", "dev", "--constraint", lowest]
    # An old version may use what a new version of its own dependencies deprecates.
    usual = ["-W", "ignore::DeprecationWarning", "-W", "ignore::PendingDeprecationWarning", *(asked or SERVER)]
    return test(f"lowest-{major}.{minor}", path, requirements, usual, [])


def wheels() -> int:
    """The pure wheel and the sdist, and a compiled wheel for each Python, into dist/. Each is tried."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    found = pythons()
    _build(sys.executable, dist, compiled=False)
    (pure,) = dist.glob("*.whl")
    tried = [(path, f"{minor[0]}.{minor[1]}", pure, False) for minor, path in found.items()]
    if shutil.which("cc") is None:
        print("There is no C compiler (cc): only the pure wheel is made")
    else:
        for minor, path in found.items():
            builder = environment(f"build-{minor[0]}.{minor[1]}", path, ["build>=1.2", "pip"])
            before = set(dist.glob("*.whl"))
            _build(builder, dist, compiled=True)
            (wheel,) = set(dist.glob("*.whl")) - before
            tried.append((path, f"{minor[0]}.{minor[1]}", wheel, True))
    for path, version, wheel, is_compiled in tried:
        inside = environment(f"try-{version}", path, [wheel], keep=False)
        file = _said(inside, "-c", "import callpath.server.socket as way; print(way.__file__)")
        assert file.endswith(".so") is is_compiled, file
        took = subprocess.run(
            [inside.parent / "callpath", "demo"], cwd=PLACE, check=False, capture_output=True, text=True
        )
        if took.returncode:
            print(f"{wheel.name} takes no call on Python {version}:\n{took.stdout}{took.stderr}")
            return 1
        print(f"{wheel.name} took a call on Python {version}", flush=True)
    return 0


def _build(python: str | Path, dist: Path, *, compiled: bool) -> None:
    """`python -m build`, from a copy: what is compiled in place would be imported in the place of the sources."""
    env = {**os.environ, "HATCH_BUILD_HOOK_ENABLE_MYPYC": "true" if compiled else "false"}
    what = ["--wheel"] if compiled else []
    with TemporaryDirectory() as folder:
        source = Path(folder) / "callpath"
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_COPIED))
        command = [python, "-m", "build", "--outdir", dist, *what, source]
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    match arguments:
        case ["tests", *asked]:
            return test_all(asked)
        case ["lowest", *asked]:
            return test_lowest(asked)
        case ["wheels"]:
            return wheels()
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
