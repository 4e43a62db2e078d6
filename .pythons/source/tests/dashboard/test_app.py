"""The pages' files: shipped whole, built from what is in web/, and safe to show."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from callpath.dashboard.app import PAGES
from tests.dashboard.calls import TOKEN, looking

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
STATIC = ROOT / "src" / "callpath" / "dashboard" / "static"
FIRST_PAGE_BYTES_MAX = 60_000


def build_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", WEB / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bundle_is_that_of_its_sources() -> None:
    """Who changes web/ and forgets `make web` ships the old pages."""
    assert (STATIC / "source.sha256").read_text().strip() == build_script().source_hash(), "run `make web`"


def test_the_client_is_made_from_this_api() -> None:
    """A field that changed its name here would be undefined there."""
    assert json.loads((WEB / "openapi.json").read_text()) == json.loads(build_script().openapi_text()), "run `make web`"


def test_the_lock_file_names_no_registry() -> None:
    """It would be asked by everybody who builds, whichever registry he uses."""
    assert '"resolved"' not in (WEB / "package-lock.json").read_text()


@pytest.mark.skipif(not (WEB / "node_modules").is_dir(), reason="the pages' own tests need Node: make web-test")
def test_the_units_of_the_pages() -> None:
    """Layout, plots, buffers: what they do without a browser."""
    done = subprocess.run(["npx", "vitest", "run"], cwd=WEB, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout


def test_the_first_page_is_small() -> None:
    """On a phone's network it is there at once: the page, and what it names."""
    page = (STATIC / "index.html").read_text()
    named = [STATIC / path.lstrip("/") for path in re.findall(r'(?:src|href)="(/[^"]+)"', page)]
    sizes = [len(gzip.compress(path.read_bytes())) for path in [STATIC / "index.html", *named]]

    assert len(named) >= 3
    assert sum(sizes) < FIRST_PAGE_BYTES_MAX


def test_nothing_comes_from_elsewhere() -> None:
    """It works offline, and tells no other host who looks."""
    hosts = {
        host
        for path in STATIC.rglob("*")
        if path.suffix in {".html", ".css"}
        for host in re.findall(r"https?://([\w.-]+)", path.read_text())
    }

    assert set() == hosts


@pytest.mark.parametrize("path", [path.replace("{session}", "abc") for path in PAGES])
async def test_every_page_is_the_shell(tmp_path: Path, path: str) -> None:
    """A permalink opens where it leads, before anybody has logged in; what is secret comes by the API."""
    async with looking(tmp_path, dashboard_token=TOKEN) as it:
        one, two = await it.http.get(path), await it.http.get(path)
        policy = one.headers["content-security-policy"]
        nonce = re.search(r"'nonce-([^']+)'", policy)

        assert 200 == one.status_code
        assert nonce is not None and f'content="{nonce[1]}"' in one.text
        assert one.text != two.text
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


async def test_files_are_compressed_and_kept(tmp_path: Path) -> None:
    """Their names carry a hash, so a browser need not ask again."""
    script = next(STATIC.glob("assets/index-*.js")).name
    async with looking(tmp_path) as it:
        small = await it.http.get(f"/assets/{script}", headers={"Accept-Encoding": "gzip"})
        plain = await it.http.get(f"/assets/{script}", headers={"Accept-Encoding": "identity"})

        assert small.content == plain.content == (STATIC / "assets" / script).read_bytes()
        assert ("gzip", None) == (small.headers["content-encoding"], plain.headers.get("content-encoding"))
        assert "immutable" in plain.headers["cache-control"]
        assert "nosniff" == plain.headers["x-content-type-options"]


@pytest.mark.parametrize(
    "path", ["/assets/none.js", "/assets/../index.html", "/assets/%2e%2e/app.py", "/assets/..%2fapp.py"]
)
async def test_there_are_no_other_files(tmp_path: Path, path: str) -> None:
    """Least of all our own source, or anything above it."""
    async with looking(tmp_path) as it:
        assert 404 == (await it.http.get(f"/assets/{path}")).status_code


async def test_answers_of_the_api_are_not_kept(tmp_path: Path) -> None:
    """A shared computer's cache would show calls to whoever comes next."""
    async with looking(tmp_path) as it:
        answer = await it.http.get("/api/v1/calls")

        assert "no-store" == answer.headers["cache-control"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
