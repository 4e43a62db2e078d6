"""All settings, in one frozen dataclass. Only cli/ reads the environment and files; everyone else is handed this.

To add a setting: one field here, with the names it may have, what it does, and its default. `callpath config`, the docs
and the error texts follow from it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec

from callpath.errors import ConfigError

TokenPlace = Literal["header", "path", "off"]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=86_400)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Processes = Annotated[int, msgspec.Meta(ge=1, le=64)]


def _setting(*names: str, default: Any, does: str, secret: bool = False, is_text: bool = False) -> Any:
    """A field that users may set. `names` are tried in order; the first is the one that errors and docs use."""
    return field(default=default, metadata={"names": names, "does": does, "secret": secret, "is_text": is_text})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a callpath server can be told. Build it with `read_settings`, or directly in tests."""

    telnyx_api_key: str = _setting(
        "TELNYX_API_KEY", default="", does="API v2 key that commands are sent with", secret=True
    )
    telnyx_public_key: str = _setting(
        "TELNYX_PUBLIC_KEY", default="", does="public key that webhooks are verified with (base64, DER base64 or PEM)"
    )
    telnyx_api_base: str = _setting(
        "TELNYX_API_BASE", default="https://api.telnyx.com/v2", does="where Call Control is; a simulator's URL in tests"
    )
    telnyx_connection_id: str = _setting(
        "TELNYX_CONNECTION_ID",
        default="",
        does="id of the Call Control application that `app.dial` calls with; empty: each dial names one",
    )
    dial_from: str = _setting(
        "CALLPATH_DIAL_FROM", default="", does="number that `app.dial` shows (E.164); empty: each dial names one"
    )
    dial_token: str = _setting(
        "CALLPATH_DIAL_TOKEN",
        default="",
        does="what a program must show to dial over HTTP (Authorization: Bearer); needs CALLPATH_DIAL_ALLOW",
        secret=True,
    )
    dial_allow: str = _setting(
        "CALLPATH_DIAL_ALLOW",
        default="",
        does="prefixes of the numbers that may be dialled, separated by commas: +1,+4930,sip:pbx.example.com; "
        "premium-rate, satellite and Caribbean numbers need an entry of their own; empty: `app.dial` may call all others, "
        "and nobody dials over HTTP or from the dashboard",
        is_text=True,
    )
    dial_calls_max: Count = _setting(
        "CALLPATH_DIAL_CALLS_MAX",
        default=10,
        does="maximum concurrent calls that were dialled, of all processes with this call log (0: no limit)",
    )
    dial_per_minute: Count = _setting(
        "CALLPATH_DIAL_PER_MINUTE",
        default=30,
        does="maximum calls dialled within a minute, of all processes with this call log (0: no limit)",
    )
    dial_per_day: Count = _setting(
        "CALLPATH_DIAL_PER_DAY",
        default=1_000,
        does="maximum calls dialled within 24 hours, of all processes with this call log (0: no limit)",
    )
    dial_seconds_max: Seconds = _setting(
        "CALLPATH_DIAL_SECONDS_MAX",
        default=3_600,
        does="maximum duration of a call that was dialled, which Telnyx ends then: 30 to 14400 (0: Telnyx's 4 hours)",
    )
    public_url: str = _setting(
        "PUBLIC_URL", default="", does="where the world reaches this server; the audio URL is built from it"
    )
    host: str = _setting("HOST", default="0.0.0.0", does="address to listen on")  # noqa: S104 (hosts demand it)
    port: Port = _setting("PORT", default=8000, does="port to listen on; 0 takes a free one")
    data_dir: Path = _setting(
        "CALLPATH_DATA_DIR",
        "RAILWAY_VOLUME_MOUNT_PATH",
        default=Path("callpath-data"),
        does="where the call log and recordings are kept",
        is_text=True,
    )
    database_url: str = _setting(
        "DATABASE_URL",
        default="",
        does="call log; sqlite:///FILE, or empty for callpath.db in the data directory",
        is_text=True,
    )
    secret: str = _setting(
        "CALLPATH_SECRET",
        default="",
        does="what the calls' audio tokens are made from; empty: derived from TELNYX_API_KEY",
        secret=True,
    )
    stream_with_answer: bool = _setting(
        "CALLPATH_STREAM_WITH_ANSWER",
        default=False,
        does="ask for the stream within `answer` instead of a streaming_start of its own (token then in the path)",
    )
    token_in: TokenPlace = _setting(
        "CALLPATH_TOKEN_IN",
        default="header",
        does="where Telnyx shows the call's token: header (stream_auth_token), path (part of the URL), off",
    )
    stream_track: Literal["inbound_track", "outbound_track", "both_tracks"] = _setting(
        "CALLPATH_STREAM_TRACK", default="inbound_track", does="which audio Telnyx sends us"
    )
    stream_codec: Literal["PCMU", "PCMA", "G722", "OPUS", "AMR-WB", "L16", "default"] = _setting(
        "CALLPATH_STREAM_CODEC", default="PCMU", does="encoding we ask Telnyx to send; `default` is the phone leg's"
    )
    play_codec: Literal["PCMU", "PCMA", "G722", "OPUS", "L16"] = _setting(
        "CALLPATH_PLAY_CODEC",
        default="PCMU",
        does="encoding of the audio that we send; AMR-WB can be heard, but not made",
    )
    play_rate_hz: Literal[8000, 16000, 22050, 24000, 48000] = _setting(
        "CALLPATH_PLAY_RATE_HZ", default=8000, does="sampling rate of the audio that we send"
    )
    l16_byte_order: Literal["little", "big", "detect"] = _setting(
        "CALLPATH_L16_BYTE_ORDER",
        default="detect",
        does="byte order of L16; detect follows the sound of the first second",
    )
    target_legs: Literal["self", "both", "opposite"] = _setting(
        "CALLPATH_TARGET_LEGS", default="self", does="who hears what we play; self is the leg that streams"
    )
    reconnect_ms: Milliseconds = _setting(
        "CALLPATH_RECONNECT_MS",
        default=10_000,
        does="maximum time a handler waits for a lost audio socket to come back",
    )
    socket_within_ms: Milliseconds = _setting(
        "CALLPATH_SOCKET_WITHIN_MS",
        default=8_000,
        does="maximum time for an accepted stream to start; after it CALLPATH_NO_SOCKET_THEN applies (0: no limit)",
    )
    no_socket_then: str = _setting(
        "CALLPATH_NO_SOCKET_THEN",
        default="retry,hangup",
        does="what is done for a caller without a stream, in order: retry, speak:TEXT, transfer:NUMBER, hangup, nothing",
        is_text=True,
    )
    probe_missing: bool = _setting(
        "CALLPATH_PROBE_MISSING",
        default=True,
        does="let the doctor try the URL of a stream that did not come, and write its verdict into the call's timeline",
    )
    media_idle_ms: Milliseconds = _setting(
        "CALLPATH_MEDIA_IDLE_MS",
        default=60_000,
        does="maximum time without a frame on an open audio socket, of 50 a second; then the call is hung up (0: no limit)",
    )
    no_handler_ms: Milliseconds = _setting(
        "CALLPATH_NO_HANDLER_MS",
        default=5_000,
        does="maximum time without handler and stream while nothing is under way; then the call is hung up (0: no limit)",
    )
    call_ms_max: Milliseconds = _setting(
        "CALLPATH_CALL_MS_MAX",
        default=14_400_000,
        does="maximum duration of a call (0: no limit); 4 hours is Telnyx's own limit for calls that are dialled",
    )
    after_restart: Literal["resume", "hangup"] = _setting(
        "CALLPATH_AFTER_RESTART",
        default="resume",
        does="what becomes of calls that were up when the last process stopped, and still are: resume asks for the stream "
        "again and enters the handler again",
    )
    drain_seconds: Seconds = _setting(
        "CALLPATH_DRAIN_SECONDS",
        default=25,
        does="maximum time for calls to finish after SIGTERM or SIGINT; new calls are rejected meanwhile",
    )
    workers: Processes = _setting(
        "CALLPATH_WORKERS", default=1, does="number of processes on this machine that share the port and the calls"
    )
    calls_max: Count = _setting(
        "CALLPATH_CALLS_MAX",
        default=0,
        does="maximum concurrent calls of each worker, counted when a call is taken; more are rejected (0: no limit)",
    )
    loop_lag_ms_max: Milliseconds = _setting(
        "CALLPATH_LOOP_LAG_MS_MAX",
        default=2_000,
        does="lag of the event loop from which on new calls are rejected, since all calls suffer from it (0: never)",
    )
    blocked_ms: Milliseconds = _setting(
        "CALLPATH_BLOCKED_MS",
        default=250,
        does="maximum time for which code may block the event loop; after it the log and the call's timeline name its "
        "function, file and line (0: never)",
    )
    refuse_with: str = _setting(
        "CALLPATH_REFUSE_WITH",
        default="busy",
        does="what becomes of a new call that is rejected: busy, reject, or transfer:NUMBER",
    )
    record: bool = _setting(
        "CALLPATH_RECORD", default=False, does="record every call, both sides, in recordings/ of the data directory"
    )
    recordings: str = _setting(
        "CALLPATH_RECORDINGS",
        default="",
        does="where recordings are kept after the call: s3://BUCKET/PREFIX, gs://…, az://…, or a folder; empty: they stay "
        "in recordings/ of the data directory",
        is_text=True,
    )
    keep_days: Count = _setting(
        "CALLPATH_KEEP_DAYS",
        default=0,
        does="days after the end of a call until its timeline and recordings are deleted (0: keep them)",
    )
    dashboard: bool = _setting(
        "CALLPATH_DASHBOARD", default=True, does="serve the dashboard at / and its JSON API at /api/v1"
    )
    dashboard_token: str = _setting(
        "CALLPATH_DASHBOARD_TOKEN",
        default="",
        does="what a visitor of the dashboard must show; needed unless the server is for this machine only",
        secret=True,
    )
    metrics_token: str = _setting(
        "CALLPATH_METRICS_TOKEN",
        default="",
        does="what a reader of /metrics must show (Authorization: Bearer); needed unless the public URL is this machine",
        secret=True,
    )
    client_address: str = _setting(
        "CALLPATH_CLIENT_ADDRESS",
        default="peer",
        does="where a client's address stands: peer (of the connection), or the header of the proxy before us, with the "
        "number of proxies that add to it: x-real-ip, x-forwarded-for:2",
    )
    dashboard_numbers: Literal["masked", "full"] = _setting(
        "CALLPATH_DASHBOARD_NUMBERS", default="masked", does="how the dashboard shows phone numbers and pressed keys"
    )
    log_format: Literal["auto", "json", "text"] = _setting(
        "CALLPATH_LOG_FORMAT", default="auto", does="json for machines, text for people; auto: text on a terminal"
    )

    def log_url(self) -> str:
        """The call log's URL, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'callpath.db'}"


DIGITS_MAX = 15
"""No number in a setting is longer."""

_PLATFORM_URLS = (
    ("RAILWAY_PUBLIC_DOMAIN", "https://{}"),
    ("RENDER_EXTERNAL_URL", "{}"),
    ("FLY_APP_NAME", "https://{}.fly.dev"),
)
"""What hosts tell us of our own address, used when PUBLIC_URL is not set."""


_PLATFORM_ADDRESSES = (
    ("RAILWAY_ENVIRONMENT_ID", "x-real-ip"),
    ("FLY_APP_NAME", "fly-client-ip"),
    ("DYNO", "x-forwarded-for:1"),
)
"""Headers in which hosts' edges, which nobody gets past, name the client; used when CALLPATH_CLIENT_ADDRESS is not set.

Sources, 2026-11: docs.railway.com/networking/edge-networking, fly.io/docs/networking/request-headers,
devcenter.heroku.com/articles/http-routing.
"""


def read_settings(values: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    """Settings from named texts, and for each field the name it came from ("default" where none).

    Raises ConfigError, naming the first wrong one and showing a right value.
    """
    found: dict[str, Any] = {}
    origins: dict[str, str] = {}
    kinds = get_type_hints(Settings, include_extras=True)
    for item in fields(Settings):
        name = next((name for name in item.metadata["names"] if values.get(name)), None)
        origins[item.name] = name or "default"
        if name is None:
            continue
        text = values[name]
        _refuse_stray_characters(name, text, anything_visible=item.metadata["is_text"])
        try:
            found[item.name] = Path(text) if kinds[item.name] is Path else _convert(text, kinds[item.name])
        except msgspec.ValidationError:
            raise ConfigError(name, f"is {text!r}", _right_values(name, kinds[item.name], item.default)) from None
    if "public_url" not in found:
        for name, form in _PLATFORM_URLS:
            if values.get(name):
                _refuse_stray_characters(name, values[name])
                found["public_url"], origins["public_url"] = form.format(values[name]), name
                break
    if "client_address" not in found:
        for name, header in _PLATFORM_ADDRESSES:
            if values.get(name):
                found["client_address"], origins["client_address"] = header, name
                break
    if found.get("public_url"):
        found["public_url"] = checked_public_url(found["public_url"], origins["public_url"])
    _require_long_token(found)
    return Settings(**found), origins


TOKEN_CHARS_MIN = 12
"""Shorter ones can be guessed: the right token is accepted however many wrong ones were tried before it."""


def _require_long_token(found: Mapping[str, Any]) -> None:
    """Raises ConfigError where a public server's dashboard has a token that can be guessed."""
    token, public_url = found.get("dashboard_token", ""), found.get("public_url", "")
    if token and public_url and len(token) < TOKEN_CHARS_MIN and not is_loopback(urlsplit(public_url).hostname or ""):
        raise ConfigError(
            "CALLPATH_DASHBOARD_TOKEN",
            f"has {len(token)} characters and can be guessed",
            f"Set it to {TOKEN_CHARS_MIN} or more, for example the output of: openssl rand -hex 16",
        )


def checked_public_url(url: str, setting: str = "PUBLIC_URL") -> str:
    """`url` without a trailing slash. Raises ConfigError unless it is https, or http on this very machine."""
    example = "Right is, for example, PUBLIC_URL=https://calls.example.com"
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        complete = False
    if not complete or parts.hostname is None:
        raise ConfigError(setting, "is not a full https:// URL", example)
    if "?" in url or "#" in url or "@" in parts.netloc:
        raise ConfigError(setting, "has a query, a fragment or a user name", example)
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(
            setting,
            f"is http on the public host {parts.hostname}: Telnyx's audio socket needs TLS (wss://)",
            f"Right is PUBLIC_URL=https://{parts.netloc}",
        )
    return url.rstrip("/")


def require_public_url(settings: Settings) -> None:
    """Raises ConfigError when no public URL is known: without one no audio URL can be built."""
    if not settings.public_url:
        raise ConfigError(
            "PUBLIC_URL",
            "is missing: the audio URL that Telnyx connects to is built from it",
            "Set it to this server's public address, for example PUBLIC_URL=https://calls.example.com",
        )


def is_loopback(host: str) -> bool:
    """Whether `host` names this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


FORWARDED = ("x-forwarded-for", "x-real-ip", "forwarded", "via")


def is_this_machine(public_url: str, headers: Mapping[str, str], client: str | None) -> bool:
    """Whether a request was made here, for a server that is for this machine only. A proxy on it, and a page elsewhere
    that points its name at 127.0.0.1, are not."""
    try:
        hosts = [urlsplit(public_url).hostname or "localhost", urlsplit(f"//{headers.get('host', '')}").hostname or ""]
    except ValueError:  # a bracket that is not closed
        return False
    passed_on = any(name in headers for name in FORWARDED)
    return not passed_on and is_loopback(client or "") and all(is_loopback(host) for host in hosts)


def _refuse_stray_characters(name: str, text: str, *, anything_visible: bool = False) -> None:
    """A newline or blank that came along with a pasted value breaks headers and URLs far from here.

    `anything_visible` is for paths and sentences, which may hold blanks and quotes inside, and any script.
    """
    if "-----BEGIN" in text:
        return
    for position, character in enumerate(text):
        inside = anything_visible and 0 < position < len(text) - 1
        fits = character.isprintable() if inside else character not in " \"'" and character.isprintable()
        if not fits or (not anything_visible and not character.isascii()):
            raise ConfigError(
                name,
                f"has a stray {character!r} at position {position + 1} of {len(text)}",
                "Paste the bare value again, without quotes, blanks or line ends",
            )


def _right_values(name: str, kind: Any, default: Any) -> str:
    if get_origin(kind) is Literal:
        return f"Right is one of: {', '.join(str(value) for value in get_args(kind))}"
    what = {
        bool: "true or false",
        Port: "a number up to 65535",
        Milliseconds: "a number of milliseconds",
        Seconds: "a number of seconds, at most a day",
        Count: "a number up to a million",
        Processes: "a number from 1 to 64",
    }[kind]
    return f"Right is {what}, for example {name}={str(default).lower() if kind is bool else default}"


def _convert(text: str, kind: Any) -> Any:
    if kind is bool:
        text = {"1": "true", "yes": "true", "on": "true", "0": "false", "no": "false", "off": "false"}.get(
            text.lower(), text.lower()
        )
    is_number = kind is not str and text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX
    return msgspec.convert(int(text) if is_number else text, kind, strict=False)
