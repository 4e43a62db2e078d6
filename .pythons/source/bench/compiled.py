"""callpath with the way of a frame compiled, as in the Dockerfile: python bench/compiled.py

Prints the folder where it lies, for PYTHONPATH. Made once for each state of src/, in about a minute; it takes a C compiler.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
PLACE = Path(__file__).parent / ".cache" / "compiled"
ENABLE = "HATCH_BUILD_HOOK_ENABLE_MYPYC"


def compiled() -> Path | None:
    """The folder that holds the package `callpath`; None where there is no C compiler.

    Raises CalledProcessError, with everything that the build said, where it fails.
    """
    if shutil.which("cc") is None:
        return None
    sources = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE")]
    sources += sorted(path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    digest = hashlib.sha256(sys.version.encode())
    for path in sources:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    folder = PLACE / digest.hexdigest()[:16]
    if not folder.exists():
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir(parents=True)
        with TemporaryDirectory(dir=PLACE) as made:
            _unpack(_wheel(sources, Path(made)), Path(made) / "callpath")
            (Path(made) / "callpath").rename(folder)
    return folder


def _wheel(sources: list[Path], place: Path) -> Path:
    """Built from a copy: what is compiled would otherwise stay beside the sources, and be taken for them for ever."""
    for path in sources:
        copy = place / "source" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps", "--wheel-dir", place]
    subprocess.run(
        [*command, place / "source"], env=os.environ | {ENABLE: "true"}, check=True, stdout=sys.stderr, timeout=600
    )
    (wheel,) = place.glob("*.whl")
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


if __name__ == "__main__":
    made = compiled()
    if made is None:
        sys.exit("there is no C compiler (cc) here")
    print(made)
