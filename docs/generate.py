"""Writes the tables in docs/reference from the code that they are about: `make docs`.

With --check it writes nothing and exits 1 where a page is out of date.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields
from pathlib import Path

from callpath.config import Settings
from callpath.doctor.report import cause_pages
from callpath.doctor.rules import EVERY_RULE
from callpath.timeline import KINDS

REFERENCE = Path(__file__).parent / "reference"
MADE = "<!-- Made by `make docs` from the code; edit there. -->\n\n"


def settings_page() -> str:
    """Every setting with its names, default and purpose."""
    lines = [
        "# Settings\n",
        MADE + "Read from flags, the environment and `.env`, in this order. `callpath config` shows yours.\n",
        "| setting | default | what it does |",
        "|---|---|---|",
    ]
    for item in fields(Settings):
        names = ", ".join(f"`{name}`" for name in item.metadata["names"])
        default = "" if item.default == "" else f"`{item.default}`"
        lines.append(f"| {names} | {default} | {item.metadata['does']} |")
    lines.append(
        "\n`PUBLIC_URL` falls back to the host's own variable: `RAILWAY_PUBLIC_DOMAIN`, `RENDER_EXTERNAL_URL` or "
        "`FLY_APP_NAME`.\n"
    )
    return "\n".join(lines)


def timeline_page() -> str:
    """Every kind of entry with its fields."""
    lines = [
        "# Timeline entries\n",
        MADE + "One timeline per call session. The kind is also the `event_name` in the logs; it never changes.\n",
        "| kind | what happened | fields |",
        "|---|---|---|",
    ]
    for kind in KINDS:
        tag = kind.__struct_config__.tag
        doc = " ".join((inspect.getdoc(kind) or "").split())
        lines.append(f"| `{tag}` | {doc} | {', '.join(f'`{name}`' for name in kind.__struct_fields__)} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Every page, by its name below reference/."""
    causes = {f"causes/{name}": text for name, text in cause_pages(EVERY_RULE).items()}
    return {"settings.md": settings_page(), "timeline.md": timeline_page()} | causes


def main() -> int:
    """Write or check every page."""
    check = "--check" in sys.argv
    stale = []
    for name, text in pages().items():
        path = REFERENCE / name
        if check and (not path.exists() or path.read_text() != text):
            stale.append(name)
        elif not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if stale:
        print(f"out of date: {', '.join(stale)}; run `make docs`")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
