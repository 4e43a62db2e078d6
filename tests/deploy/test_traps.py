"""`callpath doctor deploy`: folders as people have them, and the trap that each platform lays there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from callpath.doctor.engine import judge
from callpath.doctor.facts import Facts
from callpath.doctor.probes.files import probe_files
from callpath.doctor.rules import rules_of

ROOT = Path(__file__).parents[2]
EXEC = 'FROM python:3.13-slim\nCMD ["callpath", "serve"]\n'
K8S = """
kind: Deployment
spec:
  replicas: 2
  template:
    spec:
      terminationGracePeriodSeconds: {}
      containers:
        - {{name: a, image: b, ports: [{{containerPort: {}}}], env: [{{name: PORT, value: "8000"}}]}}
"""
PROXY = "server {{ location / {{ proxy_pass http://x; {} }} }}"
UPGRADE = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c;"

INGRESS = """
kind: Ingress
metadata: {{annotations: {{{note}: other}}}}
spec:
  ingressClassName: {kind}
  rules: [{{http: {{paths: [{{path: /, backend: {{service: {{name: bot}}}}}}]}}}}]
"""

TRAPS: dict[str, tuple[dict[str, str], set[str]]] = {
    "exec form, nothing else": ({"Dockerfile": EXEC}, set()),
    "shell form": ({"Dockerfile": "FROM x\nCMD callpath serve\n"}, {"stop-signal-lost"}),
    "an earlier stage does not count": ({"Dockerfile": "FROM x\nCMD npm start\n" + EXEC}, set()),
    "entrypoint script": ({"Dockerfile": 'FROM x\nENTRYPOINT ["sh", "-c", "callpath serve"]\n'}, {"stop-signal-lost"}),
    "uvicorn on loopback": (
        {"Procfile": "web: uvicorn app:app --port $PORT"},
        {"bound-to-loopback", "stop-signal-lost"},
    ),
    "HOST left over": ({"Dockerfile": "FROM x\nENV HOST=127.0.0.1\n" + EXEC.partition("\n")[2]}, {"bound-to-loopback"}),
    "Fly: stops, and kills after 5 s": (
        {"fly.toml": '[http_service]\ninternal_port = 8000\nauto_stop_machines = "stop"\n'},
        {"server-sleeps", "killed-before-drained"},
    ),
    "Fly: two ports": (
        {"fly.toml": 'kill_timeout = "5m"\n[env]\nPORT = "8000"\n[http_service]\ninternal_port = 8080\n'},
        {"port-fixed"},
    ),
    "Render: free": ({"render.yaml": "services: [{type: web, plan: free}]"}, {"server-sleeps"}),
    "Railway: sleeps": ({"railway.toml": "[deploy]\nsleepApplication = true\n"}, {"server-sleeps"}),
    "Railway: killed at once, in so many words": (
        {"railway.json": '{"deploy": {"drainingSeconds": 0}}'},
        {"killed-before-drained"},
    ),
    "Railway: as its own page has it": (
        {"railway.json": '{"deploy": {"drainingSeconds": "300"}}'},
        {"railway-trap"},
    ),
    "Railway: VOLUME": (
        {"railway.json": "{}", "Dockerfile": "FROM x\nVOLUME /data\n" + EXEC.partition("\n")[2]},
        {"railway-trap"},
    ),
    "Railway: a volume for a user": (
        {
            ".railway/railway.ts": 'service("a", { volumeMounts: { "/data": v }, env: { X: "y" } })',
            "Dockerfile": "FROM x\nUSER app\n" + EXEC.partition("\n")[2],
        },
        {"railway-trap"},
    ),
    "Kubernetes: too short": ({"k8s/app.yaml": K8S.format(5, 8000)}, {"killed-before-drained"}),
    "Kubernetes: two ports": ({"k8s/app.yaml": K8S.format(300, 9000)}, {"port-fixed"}),
    "Kubernetes: right": ({"k8s/app.yaml": K8S.format(300, 8000)}, set()),
    "compose: ten seconds": (
        {"compose.yaml": "services: {a: {build: ., environment: [X=y]}, db: {image: postgres}}"},
        {"killed-before-drained"},
    ),
    "nginx: no upgrade": ({"nginx/site.conf": PROXY.format("")}, {"proxy-keeps-upgrade"}),
    "nginx: upgrade": ({"nginx/site.conf": PROXY.format(UPGRADE)}, set()),
    "nginx: upgrade set outside": ({"nginx/site.conf": UPGRADE + PROXY.format("")}, set()),
    "gunicorn's own workers": (
        {"Procfile": "web: gunicorn app:app --bind 0.0.0.0:$PORT"},
        {"start-command-cannot-upgrade", "stop-signal-lost"},
    ),
    "gunicorn with settings elsewhere": ({"Procfile": "web: gunicorn -c conf.py app:app"}, set()),
    "ingress: Google's, with nginx's annotations": (
        {"k8s/ingress.yaml": INGRESS.format(kind="gce", note="nginx.ingress.kubernetes.io/proxy-read-timeout")},
        {"proxy-idle-timeout"},
    ),
    "ingress: Google's, with a long timeout": (
        {
            "k8s/ingress.yaml": INGRESS.format(kind="gce", note="x")
            + "---\n{kind: BackendConfig, spec: {timeoutSec: 86400}}\n"
        },
        set(),
    ),
    "ingress: NGINX Inc's names another service": (
        {"k8s/ingress.yaml": INGRESS.format(kind="nginx", note="nginx.org/websocket-services")},
        {"proxy-keeps-upgrade"},
    ),
    "ingress: the community's nginx": (
        {"k8s/ingress.yaml": INGRESS.format(kind="nginx", note="cert-manager.io/cluster-issuer")},
        set(),
    ),
    "ingress: Traefik with nginx's annotations is a note": (
        {"k8s/ingress.yaml": INGRESS.format(kind="traefik", note="nginx.ingress.kubernetes.io/proxy-read-timeout")},
        set(),
    ),
    "Railway: the Dockerfile is not built": (
        {"railway.json": '{"build": {"builder": "NIXPACKS"}}', "Dockerfile": EXEC},
        {"railway-trap"},
    ),
    "somebody else's program: four workers": (
        {
            "Procfile": "web: uvicorn a:app --host 0.0.0.0 --workers 4",
            "requirements.txt": "fastapi\nuvicorn[standard]>=0.30\n",
        },
        {"wrong-instance"},
    ),
    "somebody else's program: four workers and Redis": (
        {"Procfile": "web: uvicorn a:app --host 0.0.0.0 --workers 4", "requirements.txt": "fastapi\nredis\n"},
        set(),
    ),
    "npm start that restarts": (
        {"package.json": '{"scripts": {"start": "nodemon index.js"}}', "render.yaml": "services: [{type: web}]"},
        {"start-command-cannot-upgrade", "stop-signal-lost"},
    ),
}


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "callpath", "doctor", "deploy", str(folder), *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", TRAPS)
def test_each_trap_is_named_and_no_other(name: str, tmp_path: Path) -> None:
    """Before the deploy, when it costs nothing; and nothing is said that the files do not say."""
    files, expected = TRAPS[name]
    for path, text in files.items():
        place = tmp_path / path
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    facts = probe_files(tmp_path, drain_s=30)
    diagnosis = judge("", Facts(facts), rules=rules_of("files"), fallbacks=(), works=lambda _: True)

    assert () == facts.unread
    assert expected == {found.rule.slug for found in diagnosis.findings}


def test_our_own_files_lay_none() -> None:
    """They are what people copy."""
    done = run(ROOT, "--json")
    found = json.loads(done.stdout)

    assert [] == found["findings"]
    assert [] == found["unread"]
    assert {
        "Dockerfile", "fly.toml", "render.yaml", "deploy/compose.yaml (callpath)", "deploy/kubernetes.yaml",
        "deploy/nginx.conf", "deploy/railway.json", ".railway/railway.ts",
    } == set(found["files"])  # fmt: skip
    assert 0 == done.returncode


def test_compose_takes_its_file() -> None:
    """By the schema that compose itself publishes; a misspelt key would only be told on the user's machine."""
    done = subprocess.run(
        [*(sys.executable, "-m", "check_jsonschema", "--builtin-schema"), "vendor.compose-spec", "deploy/compose.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)


def test_its_own_drain_time_counts(tmp_path: Path) -> None:
    """What fits the default may cut the calls of somebody who gives them longer."""
    (tmp_path / "fly.toml").write_text("kill_timeout = 40\n[http_service]\ninternal_port = 8000\n")
    (tmp_path / ".env").write_text("CALLPATH_DRAIN_SECONDS=290\n")
    before = run(tmp_path, "--quiet").stdout
    (tmp_path / ".env").unlink()

    assert "killed-before-drained" in before
    assert "killed-before-drained" not in run(tmp_path, "--quiet").stdout


def test_a_folder_without_such_files_is_not_called_fine(tmp_path: Path) -> None:
    """Nothing was looked at."""
    done = run(tmp_path)

    assert "nothing that is known here" in done.stdout
    assert 4 == done.returncode


@pytest.mark.parametrize("text", ["[x", "\0", "services: {a: [", "- 1", "{}", "services: 7"])
def test_a_file_that_is_not_understood_is_named(text: str, tmp_path: Path) -> None:
    """Left out in silence it would pass for checked."""
    for name in ("fly.toml", "render.yaml", "compose.yaml", "railway.json", "k8s.yaml", "Dockerfile", "x.conf"):
        (tmp_path / name).write_text(text)
    done = run(tmp_path)

    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1, 4)
    assert text == "{}" or "Not understood" in done.stdout
