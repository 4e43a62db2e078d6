"""Reads what a folder tells platforms: Dockerfile, Procfile, railway.json, railway.ts, fly.toml, render.yaml, compose,
Kubernetes and nginx files. Leniently: a file that is not understood is named and left out."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from callpath.doctor.facts import DeployFacts, DeployPlan, StartCommand

FILE_BYTES_MAX = 256 * 1024


def probe_files(folder: Path, drain_s: float) -> DeployFacts:
    """Every known file in `folder`, and in its `deploy/`, `.railway/`, `k8s/` and `nginx/`."""
    plans: list[DeployPlan] = []
    unread: list[tuple[str, str]] = []
    for path in _candidates(folder):
        read = _reader(path)
        if read is None:
            continue
        name = str(path.relative_to(folder))
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                unread.append((name, f"larger than {FILE_BYTES_MAX} bytes"))
                continue
            plans.extend(read(name, path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            unread.append((name, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"))
    return DeployFacts(
        plans=tuple(_with_scripts(plans, folder)), drain_s=drain_s, unread=tuple(unread), depends=_depends(folder)
    )


def _depends(folder: Path) -> tuple[str, ...]:
    """Names of packages that the program asks for; leniently, for their names only."""
    names: set[str] = set()
    for name, pattern in (
        ("requirements.txt", r"(?m)^\s*([A-Za-z][\w.-]*)"),
        ("pyproject.toml", r"[\"']([A-Za-z][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:[<>=!~;][^\"']*)?[\"']"),
        ("package.json", r'"([@\w][\w./@-]*)"\s*:\s*"[\^~\d*]'),
    ):
        path = folder / name
        try:
            if path.is_file() and path.stat().st_size <= FILE_BYTES_MAX:
                names |= {found.lower() for found in re.findall(pattern, path.read_text(encoding="utf-8"))}
        except (OSError, ValueError):
            continue
    return tuple(sorted(names))


def _candidates(folder: Path) -> Iterator[Path]:
    for place in (folder, *(folder / name for name in ("deploy", ".railway", "k8s", "kubernetes", "nginx"))):
        if place.is_dir():
            yield from sorted(path for path in place.iterdir() if path.is_file())


def _reader(path: Path) -> Callable[[str, str], list[DeployPlan]] | None:
    match path.name.lower():
        case "dockerfile":
            return _dockerfile
        case "procfile":
            return _procfile
        case "railway.json":
            return lambda name, text: _railway(name, json.loads(text))
        case "railway.toml":
            return lambda name, text: _railway(name, tomllib.loads(text))
        case "railway.ts":
            return _railway_ts
        case "fly.toml":
            return lambda name, text: _fly(name, tomllib.loads(text))
        case "render.yaml" | "render.yml":
            return lambda name, text: _render(name, yaml.safe_load(text))
        case "compose.yaml" | "compose.yml" | "docker-compose.yaml" | "docker-compose.yml":
            return lambda name, text: _compose(name, yaml.safe_load(text))
        case other if other.endswith((".yaml", ".yml")):
            return _kubernetes
        case other if other.endswith(".conf"):
            return _nginx
    return None


# --- one platform each -----------------------------------------------------------------------------------------------


def _dockerfile(name: str, text: str) -> list[DeployPlan]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    last: dict[str, str] = {}
    environment: list[tuple[str, str]] = []
    volume_keyword = False
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.strip().partition(" ")
        match word.upper():
            case "FROM":
                last, environment = {}, []  # a new stage; what counts is the last
            case "ENV":
                environment += [_pair(item) for item in shlex.split(rest)] if "=" in rest else [_spaced(rest)]
            case "VOLUME":
                volume_keyword = True
            case "CMD" | "ENTRYPOINT" | "USER" | "EXPOSE":
                last[word.upper()] = rest.strip()
    entrypoint, command = last.get("ENTRYPOINT", ""), last.get("CMD", "")
    starts = [_docker_command(entrypoint), _docker_command(command)]
    if starts[0] is not None and starts[1] is not None and starts[0].words and starts[1].words:
        starts = [StartCommand(f"{starts[0].text} {starts[1].text}", starts[0].words + starts[1].words)]
    exposed = re.match(r"\d+", last.get("EXPOSE", ""))
    return [
        DeployPlan(
            file=name,
            platform="Docker",
            commands=tuple(start for start in starts if start is not None),
            user=last.get("USER", ""),
            port=int(exposed[0]) if exposed else None,
            environment=tuple(environment),
            volume_keyword=volume_keyword,
        )
    ]


def _docker_command(text: str) -> StartCommand | None:
    if not text:
        return None
    if text.startswith("["):
        words = tuple(str(word) for word in json.loads(text))
        return StartCommand(shlex.join(words), words)
    return StartCommand(text)


def _procfile(name: str, text: str) -> list[DeployPlan]:
    found = re.search(r"^web:\s*(.+)$", text, re.M)
    return [DeployPlan(file=name, platform="Heroku", commands=(_command(found[1]),))] if found else []


def _railway(name: str, document: dict[str, Any]) -> list[DeployPlan]:
    deploy = document.get("deploy") or {}
    regions = deploy.get("multiRegionConfig") or {}
    replicas = sum(int((region or {}).get("numReplicas", 1)) for region in regions.values()) if regions else None
    start = deploy.get("startCommand")
    return [
        DeployPlan(
            file=name,
            platform="Railway",
            commands=(_command(start),) if start else (),
            stop_s=_seconds(deploy.get("drainingSeconds")),
            stop_is_text=isinstance(deploy.get("drainingSeconds"), str),
            sleeps="sleepApplication" if deploy.get("sleepApplication") else "",
            replicas=replicas or deploy.get("numReplicas"),
            health_path=deploy.get("healthcheckPath") or "",
            builder=str((document.get("build") or {}).get("builder") or ""),
        )
    ]


def _railway_ts(name: str, text: str) -> list[DeployPlan]:
    """Only what is written as a literal; a program can do anything."""
    bare = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    variables = tuple(re.findall(r"""\b([A-Z][A-Z0-9_]+)\s*:\s*["']([^"']*)["']""", bare))
    computed = [(key, "(set by Railway)") for key in re.findall(r"\b([A-Z][A-Z0-9_]+)\s*:\s*[a-z]", bare)]
    draining = re.search(r"\bdrainingSeconds\s*:\s*(\d+)", bare)
    stop = draining[1] if draining else dict(variables).get("RAILWAY_DEPLOYMENT_DRAINING_SECONDS")
    start = re.search(r"""\bstart(?:Command)?\s*:\s*["']([^"']+)["']""", bare)
    replicas = re.search(r"\breplicas\s*:\s*(\d+)", bare)
    health = re.search(r"""\bhealthcheck(?:Path)?\s*:\s*["']([^"']+)["']""", bare)
    return [
        DeployPlan(
            file=name,
            platform="Railway",
            commands=(_command(start[1]),) if start else (),
            stop_s=_seconds(stop),
            sleeps="sleepApplication" if re.search(r"\bsleepApplication\s*:\s*true", bare) else "",
            replicas=int(replicas[1]) if replicas else None,
            volume="volumeMounts" in bare,
            health_path=health[1] if health else "",
            environment=(*variables, *computed),
        )
    ]


def _fly(name: str, document: dict[str, Any]) -> list[DeployPlan]:
    service: dict[str, Any] = document.get("http_service") or next(iter(document.get("services") or []), {})
    stop = service.get("auto_stop_machines", "off")
    sleeps = f"auto_stop_machines = {json.dumps(stop)}" if stop not in ("off", False) else ""
    commands = (document.get("processes") or {}).values()
    checks = service.get("checks") or service.get("http_checks") or []
    return [
        DeployPlan(
            file=name,
            platform="Fly",
            commands=tuple(_command(command) for command in commands),
            stop_s=_seconds(document.get("kill_timeout")),
            sleeps=sleeps,
            volume=bool(document.get("mounts")),
            port=service.get("internal_port"),
            health_path=next((check.get("path", "") for check in checks), ""),
            environment=_environment(document.get("env")),
        )
    ]


def _render(name: str, document: dict[str, Any]) -> list[DeployPlan]:
    plans = []
    for service in document.get("services") or []:
        if service.get("type") != "web":
            continue
        start = service.get("startCommand") or service.get("dockerCommand")
        plans.append(
            DeployPlan(
                file=name,
                platform="Render",
                commands=(_command(start),) if start else (),
                stop_s=_seconds(service.get("maxShutdownDelaySeconds")),
                sleeps="plan: free" if service.get("plan") == "free" else "",
                replicas=service.get("numInstances") or (service.get("scaling") or {}).get("maxInstances"),
                volume=bool(service.get("disk")),
                health_path=service.get("healthCheckPath") or "",
                environment=tuple(
                    (str(item["key"]), str(item.get("value", "(set by Render)")))
                    for item in service.get("envVars") or []
                    if "key" in item
                ),
            )
        )
    return plans


def _compose(name: str, document: dict[str, Any]) -> list[DeployPlan]:
    plans = []
    for service_name, service in (document.get("services") or {}).items():
        environment = _environment(service.get("environment"))
        ours = "build" in service or "callpath" in f"{service.get('image', '')} {service.get('command', '')}"
        if not ours:
            continue
        command = service.get("command")
        plans.append(
            DeployPlan(
                file=f"{name} ({service_name})",
                platform="compose",
                commands=(_command(command),) if command else (),
                stop_s=_seconds(service.get("stop_grace_period")),
                replicas=(service.get("deploy") or {}).get("replicas") or service.get("scale"),
                volume=bool(service.get("volumes")),
                environment=environment,
            )
        )
    return plans


def _kubernetes(name: str, text: str) -> list[DeployPlan]:
    plans = []
    for document in yaml.safe_load_all(text):
        if not isinstance(document, dict):
            continue
        if document.get("kind") == "Ingress":
            plans.append(_ingress(name, document))
        if document.get("kind") == "BackendConfig":
            seconds = (document.get("spec") or {}).get("timeoutSec")
            plans.append(DeployPlan(file=name, platform="BackendConfig", timeout_s=_seconds(seconds)))
        if document.get("kind") not in ("Deployment", "StatefulSet", "DaemonSet"):
            continue
        spec = document["spec"]
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        words = tuple(str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ())))
        probe = ((container.get("readinessProbe") or {}).get("httpGet")) or {}
        environment = tuple(
            (item["name"], str(item.get("value", "(from the cluster)"))) for item in container.get("env") or []
        )
        if container.get("envFrom"):
            environment += (("DATABASE_URL", "(may come from envFrom)"),)
        plans.append(
            DeployPlan(
                file=name,
                platform="Kubernetes",
                commands=(StartCommand(shlex.join(words), words),) if words else (),
                stop_s=_seconds(pod.get("terminationGracePeriodSeconds")),
                replicas=spec.get("replicas"),
                volume=any("persistentVolumeClaim" in volume for volume in pod.get("volumes") or []),
                port=next((port.get("containerPort") for port in container.get("ports") or []), None),
                health_path=probe.get("path", ""),
                environment=environment,
            )
        )
    return plans


def _ingress(name: str, document: dict[str, Any]) -> DeployPlan:
    """Class, annotations and services of an ingress. The old annotation of the class goes before the field."""
    spec = document.get("spec") or {}
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    backends = [
        path.get("backend") or {}
        for rule in spec.get("rules") or []
        for path in ((rule or {}).get("http") or {}).get("paths") or []
    ]
    backends.append(spec.get("defaultBackend") or {})
    services = [(backend.get("service") or {}).get("name") or backend.get("serviceName") for backend in backends]
    return DeployPlan(
        file=name,
        platform="Ingress",
        ingress_class=str(annotations.get("kubernetes.io/ingress.class") or spec.get("ingressClassName") or ""),
        annotations=tuple((str(key), str(value)) for key, value in annotations.items()),
        services=tuple(dict.fromkeys(str(service) for service in services if service)),
    )


def _nginx(name: str, text: str) -> list[DeployPlan]:
    bare = re.sub(r"#[^\n]*", "", text)
    if "proxy_pass" not in bare:
        return []
    outer = re.sub(r"location[^{]*\{[^{}]*\}", "", bare)
    locations = [block for block in re.findall(r"location[^{]*\{[^{}]*\}", bare) if "proxy_pass" in block]
    inherits = [block if "proxy_set_header" in block else block + _headers(outer) for block in locations]
    return [DeployPlan(file=name, platform="nginx", proxied=tuple(block + _timing(outer) for block in inherits))]


def _headers(outer: str) -> str:
    """nginx inherits proxy_set_header from outside only where a location has none of its own."""
    return "".join(re.findall(r"proxy_set_header[^;]*;", outer))


def _timing(outer: str) -> str:
    return "".join(re.findall(r"proxy_(?:http_version|read_timeout)[^;]*;", outer))


# --- small parts -----------------------------------------------------------------------------------------------------


def _with_scripts(plans: list[DeployPlan], folder: Path) -> Iterator[DeployPlan]:
    """`npm start` is what package.json says it is."""
    yield from plans
    package = folder / "package.json"
    if plans and not any(plan.commands for plan in plans) and package.is_file():
        try:
            start = json.loads(package.read_text(encoding="utf-8"))["scripts"]["start"]
        except (ValueError, KeyError, TypeError, OSError):
            return
        yield DeployPlan(file="package.json", platform="npm", commands=(StartCommand(str(start)),))


def _command(command: Any) -> StartCommand:
    """A command of a platform that hands the text to a shell, or a list to nobody."""
    if isinstance(command, list):
        words = tuple(str(word) for word in command)
        return StartCommand(shlex.join(words), words)
    text = str(command)
    # Platforms run a plain command directly, or by `exec`; only what needs a shell keeps one in front.
    if re.search(r"[&|;$`]", text):
        return StartCommand(text)
    return StartCommand(text, tuple(shlex.split(text)))


def _environment(given: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(given, dict):
        return tuple((str(key), "" if value is None else str(value)) for key, value in given.items())
    return tuple(_pair(str(item)) for item in given or ())


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _spaced(text: str) -> tuple[str, str]:
    name, _, value = text.partition(" ")
    return name, value.strip()


def _seconds(value: Any) -> float | None:
    """`300`, `"300"`, `"5m"`, `"1m30s"`."""
    if value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?", str(value))
    return sum(float(number) * {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)
