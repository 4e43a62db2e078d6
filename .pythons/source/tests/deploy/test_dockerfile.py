"""The Dockerfile, step by step, and the server that it starts."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import callpath
from callpath.cli.demo import _free_ports
from tests.deploy.image import Build, Stage, exec_forms, why_not_here

ROOT = Path(__file__).parents[2]
RIGHT = {
    "PUBLIC_URL": "https://calls.example.com",
    "TELNYX_API_KEY": "KEY0123",
    "TELNYX_PUBLIC_KEY": base64.b64encode(bytes(32)).decode(),
}

pytestmark = [
    pytest.mark.skipif(bool(why_not_here()), reason=why_not_here()),
    pytest.mark.timeout(600),  # whoever is first waits for the compiler
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The built image."""
    return Build(ROOT, tmp_path_factory.mktemp("image")).build()


@pytest.fixture
def container(image: Stage) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The image's command, once it listens; and its environment."""
    environment = RIGHT | {"PORT": str(_free_ports(1)[0])}
    with image.start(environment) as process:
        assert process.stdout is not None
        said = "nothing"
        for said in process.stdout:
            if "callpath serves" in said:
                break
        else:
            pytest.fail(f"the container ended, saying last: {said}")
        yield process, environment
        process.kill()


def test_what_starts_is_the_server_itself() -> None:
    """Behind a shell it would never hear SIGTERM, and every deploy would cut calls."""
    text = (ROOT / "Dockerfile").read_text()

    assert ["[" for _ in exec_forms(text)] == [form[0] for form in exec_forms(text)]


def test_it_runs_as_nobody_special(image: Stage) -> None:
    """A hole in a handler should not be root's."""
    who = image.run("id", "--user")

    assert "10001" == who.stdout.strip(), who.stderr


def test_it_has_what_settings_ask_for(image: Stage) -> None:
    """Codecs, Postgres, buckets, traces: nobody can install into a running container."""
    asked = image.run("python3", "-c", "import av, psycopg, obstore, opentelemetry.exporter.otlp.proto.http")

    assert 0 == asked.returncode, asked.stderr


def test_the_way_of_a_frame_is_compiled(image: Stage) -> None:
    """Whoever deploys this image gets the figures of docs/explanation/performance.md."""
    asked = image.run("python3", "-c", "import callpath.server.socket as way; print(way.__file__)")

    assert asked.stdout.strip().endswith(".so"), asked.stdout + asked.stderr


def test_it_serves_is_healthy_and_stops_when_told(
    image: Stage, container: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    """The whole life of a container: start, health, SIGTERM, exit 0."""
    process, environment = container
    with urllib.request.urlopen(f"http://127.0.0.1:{environment['PORT']}/version", timeout=30) as answer:
        version = json.load(answer)
    health = subprocess.run(
        image.entering(*image.health), env=image.environment | environment, capture_output=True, check=False
    )
    process.send_signal(getattr(signal, image.stop_signal))

    assert {"callpath": callpath.__version__} == version
    assert 0 == health.returncode, health.stderr.decode()
    assert 0 == process.wait(30), process.stdout and process.stdout.read()


def test_health_fails_where_nothing_listens(image: Stage) -> None:
    """A check that cannot fail would keep a dead server in service."""
    port = str(_free_ports(1)[0])
    health = subprocess.run(
        image.entering(*image.health), env=image.environment | {"PORT": port}, capture_output=True, check=False
    )

    assert 0 != health.returncode
