"""Builds the dashboard's pages: `make web`. Writes src/callpath/dashboard/static, which is committed.

python web/build.py          OpenAPI document → typed client → bundle
python web/build.py --hash   only the hash of the sources; the bundle carries that of what it was built from
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).parent
STATIC = WEB.parent / "src" / "callpath" / "dashboard" / "static"
HASH_FILE = STATIC / "source.sha256"
SOURCES = (
    "src/**/*",
    "public/**/*",
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
)


def source_hash() -> str:
    """Of all that goes into the bundle, names and contents."""
    files = sorted({path for pattern in SOURCES for path in WEB.glob(pattern) if path.is_file()})
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(WEB).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def openapi_text() -> str:
    """The API's description, as the server itself would give it."""
    from callpath.dashboard.api import openapi_document

    return json.dumps(openapi_document(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Build, or print the hash."""
    if "--hash" in sys.argv:
        print(source_hash())
        return 0
    (WEB / "openapi.json").write_text(openapi_text())
    if not (WEB / "node_modules").is_dir():
        subprocess.run(["npm", "install", "--no-save"], cwd=WEB, check=True)
    for script in ("client", "build"):
        subprocess.run(["npm", "run", "--silent", script], cwd=WEB, check=True)
    HASH_FILE.write_text(source_hash() + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
