"""Settings from named texts: what each is called, what it takes, and what a wrong one is answered."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.codec import CODECS
from callpath.config import Settings, checked_public_url, is_loopback, read_settings, require_public_url
from callpath.errors import ConfigError
from callpath.wire.command import SamplingRate

FIELDS = {field.name: field for field in fields(Settings)}
PLATFORM = {
    "RAILWAY_PUBLIC_DOMAIN": ("calls.up.railway.app", "https://calls.up.railway.app"),
    "RENDER_EXTERNAL_URL": ("https://calls.onrender.com", "https://calls.onrender.com"),
    "FLY_APP_NAME": ("calls", "https://calls.fly.dev"),
}
NAMES: list[tuple[str, str, str, Any]] = [
    ("TELNYX_API_KEY", "KEY0123", "telnyx_api_key", "KEY0123"),
    ("TELNYX_PUBLIC_KEY", "e7Bj+/=", "telnyx_public_key", "e7Bj+/="),
    ("TELNYX_API_BASE", "http://127.0.0.1:8099/v2", "telnyx_api_base", "http://127.0.0.1:8099/v2"),
    ("TELNYX_CONNECTION_ID", "2900000000000000001", "telnyx_connection_id", "2900000000000000001"),
    ("CALLPATH_DIAL_FROM", "+15555550100", "dial_from", "+15555550100"),
    ("CALLPATH_DIAL_TOKEN", "of-the-dialler", "dial_token", "of-the-dialler"),
    ("CALLPATH_DIAL_ALLOW", "+1, +4930", "dial_allow", "+1, +4930"),
    ("CALLPATH_DIAL_CALLS_MAX", "5", "dial_calls_max", 5),
    ("CALLPATH_DIAL_PER_MINUTE", "6", "dial_per_minute", 6),
    ("CALLPATH_DIAL_PER_DAY", "0", "dial_per_day", 0),
    ("CALLPATH_DIAL_SECONDS_MAX", "600", "dial_seconds_max", 600),
    ("PUBLIC_URL", "https://calls.example.com", "public_url", "https://calls.example.com"),
    ("HOST", "127.0.0.1", "host", "127.0.0.1"),
    ("PORT", "8080", "port", 8080),
    ("CALLPATH_DATA_DIR", "/data", "data_dir", Path("/data")),
    ("RAILWAY_VOLUME_MOUNT_PATH", "/volume", "data_dir", Path("/volume")),
    ("DATABASE_URL", "sqlite:////data/x.db", "database_url", "sqlite:////data/x.db"),
    ("CALLPATH_SECRET", "hush", "secret", "hush"),
    ("CALLPATH_STREAM_WITH_ANSWER", "true", "stream_with_answer", True),
    ("CALLPATH_TOKEN_IN", "path", "token_in", "path"),
    ("CALLPATH_STREAM_TRACK", "both_tracks", "stream_track", "both_tracks"),
    ("CALLPATH_STREAM_CODEC", "AMR-WB", "stream_codec", "AMR-WB"),
    ("CALLPATH_PLAY_CODEC", "L16", "play_codec", "L16"),
    ("CALLPATH_PLAY_RATE_HZ", "16000", "play_rate_hz", 16000),
    ("CALLPATH_L16_BYTE_ORDER", "big", "l16_byte_order", "big"),
    ("CALLPATH_RECORD", "true", "record", True),
    ("CALLPATH_TARGET_LEGS", "opposite", "target_legs", "opposite"),
    ("CALLPATH_RECONNECT_MS", "2500", "reconnect_ms", 2500),
    ("CALLPATH_SOCKET_WITHIN_MS", "5000", "socket_within_ms", 5000),
    ("CALLPATH_NO_SOCKET_THEN", "speak:Grüß Gott, bitte warten", "no_socket_then", "speak:Grüß Gott, bitte warten"),
    ("CALLPATH_PROBE_MISSING", "off", "probe_missing", False),
    ("CALLPATH_MEDIA_IDLE_MS", "0", "media_idle_ms", 0),
    ("CALLPATH_NO_HANDLER_MS", "1000", "no_handler_ms", 1000),
    ("CALLPATH_CALL_MS_MAX", "600000", "call_ms_max", 600_000),
    ("CALLPATH_AFTER_RESTART", "hangup", "after_restart", "hangup"),
    ("CALLPATH_DRAIN_SECONDS", "300", "drain_seconds", 300),
    ("CALLPATH_WORKERS", "4", "workers", 4),
    ("CALLPATH_CALLS_MAX", "40", "calls_max", 40),
    ("CALLPATH_LOOP_LAG_MS_MAX", "500", "loop_lag_ms_max", 500),
    ("CALLPATH_BLOCKED_MS", "100", "blocked_ms", 100),
    ("CALLPATH_REFUSE_WITH", "transfer:+15555550123", "refuse_with", "transfer:+15555550123"),
    ("CALLPATH_DASHBOARD", "false", "dashboard", False),
    ("CALLPATH_DASHBOARD_TOKEN", "long-and-random", "dashboard_token", "long-and-random"),
    ("CALLPATH_DASHBOARD_NUMBERS", "full", "dashboard_numbers", "full"),
    ("CALLPATH_RECORDINGS", "s3://calls/a b", "recordings", "s3://calls/a b"),
    ("CALLPATH_KEEP_DAYS", "90", "keep_days", 90),
    ("CALLPATH_METRICS_TOKEN", "of-prometheus", "metrics_token", "of-prometheus"),
    ("CALLPATH_CLIENT_ADDRESS", "x-real-ip", "client_address", "x-real-ip"),
    ("CALLPATH_LOG_FORMAT", "json", "log_format", "json"),
]
"""Each name, a text that it may have, the field that it sets, and to what."""


def read(**values: str) -> Settings:
    return read_settings(values)[0]


def refused(**values: str) -> ConfigError:
    """What the user is told."""
    with pytest.raises(ConfigError) as caught:
        read_settings(values)
    return caught.value


# --- names, defaults, origins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "text", "field", "value"), NAMES)
def test_each_name_sets_its_field(name: str, text: str, field: str, value: Any) -> None:
    """The names stand in people's deployments: a renamed one would be ignored there without a word."""
    settings, origins = read_settings({name: text})

    assert getattr(settings, field) == value
    assert origins == dict.fromkeys(FIELDS, "default") | {field: name}


def test_the_table_above_is_complete() -> None:
    """A new setting is to be written down there."""
    assert {name for field in FIELDS.values() for name in field.metadata["names"]} == {row[0] for row in NAMES}


def test_nothing_set_means_the_defaults() -> None:
    """All defaults can be shown, and each is what the class itself has."""
    settings, origins = read_settings({})

    assert settings == Settings()
    assert set(origins.values()) == {"default"}
    assert all(field.default is not MISSING and field.metadata["does"] for field in FIELDS.values())


def test_an_empty_text_is_not_set() -> None:
    """`PORT=` in a compose file or a CI form means "none given"."""
    settings, origins = read_settings({"PORT": "", "PUBLIC_URL": "", "FLY_APP_NAME": ""})

    assert settings == Settings()
    assert origins["port"] == "default"


def test_the_first_name_goes_before_the_others() -> None:
    """Who sets CALLPATH_DATA_DIR on Railway means it."""
    settings, origins = read_settings({"RAILWAY_VOLUME_MOUNT_PATH": "/volume", "CALLPATH_DATA_DIR": "/chosen"})

    assert settings.data_dir == Path("/chosen")
    assert origins["data_dir"] == "CALLPATH_DATA_DIR"


def test_a_short_dashboard_token_is_refused_on_a_public_server() -> None:
    """It can be guessed: wrong tokens never keep the right one out."""
    url = "https://calls.example.com"
    error = refused(PUBLIC_URL=url, CALLPATH_DASHBOARD_TOKEN="eleven-char")

    assert "CALLPATH_DASHBOARD_TOKEN has 11 characters" in str(error)
    assert "twelve-chars" == read(PUBLIC_URL=url, CALLPATH_DASHBOARD_TOKEN="twelve-chars").dashboard_token
    assert "x" == read(PUBLIC_URL="http://127.0.0.1:8000", CALLPATH_DASHBOARD_TOKEN="x").dashboard_token


def test_names_that_are_no_settings_are_left_alone() -> None:
    """The whole environment is handed in."""
    assert read(PATH="/bin", LS_COLORS='a="b c"', EMPTY="") == Settings()


def test_the_call_log_is_in_the_data_directory_unless_told_otherwise() -> None:
    """A volume mounted for the data must hold the log too."""
    assert read(CALLPATH_DATA_DIR="/data").log_url() == "sqlite:////data/callpath.db"
    assert read(DATABASE_URL="sqlite:///x.db", CALLPATH_DATA_DIR="/data").log_url() == "sqlite:///x.db"


def test_exactly_what_is_secret_is_marked() -> None:
    """`callpath config` masks by this mark, and its output is pasted into bug reports."""
    secret = {field.metadata["names"][0] for field in FIELDS.values() if field.metadata["secret"]}

    assert {"TELNYX_API_KEY", "CALLPATH_SECRET"} <= secret


# --- conversions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1", True), ("true", True), ("True", True), ("YES", True), ("on", True)),
        *(("0", False), ("false", False), ("False", False), ("no", False), ("OFF", False)),
    ],
)
def test_yes_and_no_in_each_spelling(text: str, value: bool) -> None:
    """Every host's form writes them another way."""
    assert read(CALLPATH_STREAM_WITH_ANSWER=text).stream_with_answer is value


def test_every_rate_that_the_wire_takes_can_be_set() -> None:
    """Telnyx takes 22,050 Hz too, which callpath could make and nobody could ask for."""
    rates_hz = CODECS["L16"].rates_hz

    assert rates_hz == tuple(read(CALLPATH_PLAY_RATE_HZ=str(rate)).play_rate_hz for rate in rates_hz)
    assert rates_hz == get_args(SamplingRate)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CALLPATH_STREAM_WITH_ANSWER", "maybe"),
        ("CALLPATH_STREAM_WITH_ANSWER", "2"),
        ("CALLPATH_TOKEN_IN", "cookie"),
        ("CALLPATH_STREAM_TRACK", "both"),
        ("CALLPATH_STREAM_CODEC", "pcmu"),
        ("CALLPATH_PLAY_CODEC", "AMR-WB"),
        ("CALLPATH_PLAY_RATE_HZ", "44100"),
        ("CALLPATH_PLAY_RATE_HZ", "16k"),
        ("CALLPATH_TARGET_LEGS", "all"),
        ("CALLPATH_RECONNECT_MS", "ten"),
        ("CALLPATH_RECONNECT_MS", "-1"),
        ("CALLPATH_DRAIN_SECONDS", "86401"),
        ("CALLPATH_CALLS_MAX", "-1"),
        ("CALLPATH_LOG_FORMAT", "xml"),
        ("PORT", "http"),
        ("PORT", "8000.5"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "9" * 5000),
    ],
)
def test_a_wrong_value_is_named_with_a_right_one(name: str, text: str) -> None:
    """The text alone must be enough to mend it; a traceback would name a library's line."""
    error = refused(**{name: text})

    one_of = re.search(r"one of: (.*)", error.hint)
    examples = one_of[1].split(", ") if one_of else re.findall(rf"{name}=(\S+)", error.hint)

    assert error.setting == name
    assert str(error).startswith(f"{name} ")
    assert examples
    assert all(read_settings({name: example}) for example in examples)


@pytest.mark.parametrize("text", ["²", "٣", "80\u200b", "１"])
def test_digits_of_another_script_are_no_number(text: str) -> None:
    """Some of them count as digits and yet make no number: still one line that names the setting."""
    assert refused(PORT=text).setting == "PORT"


def test_the_name_that_was_used_is_the_name_in_the_error() -> None:
    """On Railway nobody has heard of CALLPATH_DATA_DIR."""
    assert refused(RAILWAY_VOLUME_MOUNT_PATH="/a\n").setting == "RAILWAY_VOLUME_MOUNT_PATH"


@given(name=st.sampled_from(sorted(name for f in FIELDS.values() for name in f.metadata["names"])), text=st.text())
def test_no_text_makes_reading_fail_otherwise(name: str, text: str) -> None:
    """Whatever is pasted into a form: only ConfigError may come out, and it names the setting."""
    try:
        read_settings({name: text})
    except ConfigError as error:
        assert error.setting == name


# --- PUBLIC_URL ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://calls.example.com", "https://calls.example.com"),
        ("https://calls.example.com/", "https://calls.example.com"),
        ("https://calls.example.com:8443", "https://calls.example.com:8443"),
        ("https://calls.example.com/voice/", "https://calls.example.com/voice"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://calls.localhost:8000", "http://calls.localhost:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_public_url_that_works(url: str, kept: str) -> None:
    """Paths are put behind it: a slash at its end would stand twice in the audio URL."""
    assert read(PUBLIC_URL=url).public_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "calls.example.com",
        "//calls.example.com",
        "wss://calls.example.com",
        "ftp://calls.example.com",
        "https://",
        "https:///path",
        "https://:8000",
        "https://[calls",
        "https://calls.example.com:abc",
        "https://calls.example.com:65536",
        "https://calls.example.com?x=1",
        "https://calls.example.com?",
        "https://calls.example.com#x",
        "https://calls.example.com/#",
        "https://user@calls.example.com",
        "https://:password@calls.example.com",
    ],
)
def test_a_public_url_that_could_not_work(url: str) -> None:
    """No audio URL can be built from it; better at start than as a call without sound."""
    error = refused(PUBLIC_URL=url)

    assert error.setting == "PUBLIC_URL"
    assert "PUBLIC_URL=https://calls.example.com" in error.hint


@pytest.mark.parametrize("host", ["calls.example.com", "192.168.0.7", "localhost.example.com", "[2001:db8::1]:8000"])
def test_http_is_for_this_machine_only(host: str) -> None:
    """Telnyx refuses a plain socket. The hint is the same address with TLS, ready to paste."""
    error = refused(PUBLIC_URL=f"http://{host}")

    assert "TLS" in error.problem
    assert error.hint == f"Right is PUBLIC_URL=https://{host}"


@pytest.mark.parametrize("name", PLATFORM)
def test_hosts_tell_our_address_themselves(name: str) -> None:
    """On Railway, Render and Fly nothing has to be set."""
    told, url = PLATFORM[name]
    settings, origins = read_settings({name: told})

    assert settings.public_url == url
    assert origins["public_url"] == name


@pytest.mark.parametrize("name", PLATFORM)
def test_public_url_goes_before_the_hosts_name(name: str) -> None:
    """With a domain of one's own, the host's is the wrong one."""
    settings, origins = read_settings({name: PLATFORM[name][0], "PUBLIC_URL": "https://calls.example.com"})

    assert settings.public_url == "https://calls.example.com"
    assert origins["public_url"] == "PUBLIC_URL"


def test_the_hosts_have_an_order() -> None:
    """The same environment must give the same address each time."""
    everywhere = {name: told for name, (told, _) in reversed(PLATFORM.items())}

    assert read_settings(everywhere)[1]["public_url"] == "RAILWAY_PUBLIC_DOMAIN"


@pytest.mark.parametrize("name", ["RAILWAY_PUBLIC_DOMAIN", "RENDER_EXTERNAL_URL", "FLY_APP_NAME"])
def test_a_wrong_address_from_the_host_is_blamed_on_its_name(name: str) -> None:
    """PUBLIC_URL, which nobody set, would be looked for in vain."""
    assert refused(**{name: "calls example\n"}).setting == name


def test_no_public_url_is_an_error_where_one_is_needed() -> None:
    """The server asks for it at start; `callpath calls` does not need one."""
    require_public_url(Settings(public_url="https://calls.example.com"))
    with pytest.raises(ConfigError, match=r"PUBLIC_URL is missing.*PUBLIC_URL=https://calls\.example\.com"):
        require_public_url(Settings())


@given(st.text() | st.text().map("https://{}".format) | st.text().map("http://{}".format))
def test_no_url_makes_the_check_fail_otherwise(url: str) -> None:
    """A kept one can have a path put behind it, and is kept as it is when checked again."""
    try:
        kept = checked_public_url(url)
    except ConfigError as error:
        assert error.setting == "PUBLIC_URL"
    else:
        assert not kept.endswith("/") and "?" not in kept and "#" not in kept
        assert checked_public_url(kept) == kept


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        *(("localhost", True), ("127.0.0.1", True), ("::1", True), ("a.localhost", True)),
        *(("notlocalhost", False), ("10.0.0.1", False), ("0.0.0.0", False), ("example.com", False), ("", False)),
    ],
)
def test_which_hosts_are_this_machine(host: str, is_it: bool) -> None:
    """Only there may audio go unencrypted."""
    assert is_loopback(host) is is_it


# --- stray characters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stray", ["\n", "\r\n", " ", "\t", "\x00", '"', "'", "\u00a0", "\u200b", "\ufeff", "\u2028"])
@pytest.mark.parametrize("place", ["{}KEY0123", "KEY{}0123", "KEY0123{}"], ids=["before", "within", "after"])
@pytest.mark.parametrize("name", ["TELNYX_API_KEY", "TELNYX_PUBLIC_KEY", "PUBLIC_URL", "CALLPATH_SECRET"])
def test_a_stray_character_is_found_where_it_stands(name: str, place: str, stray: str) -> None:
    """It came along with a pasted value, cannot be seen, and would fail much later as 401 or as a broken header."""
    error = refused(**{name: place.format(stray)})

    assert error.setting == name
    assert f"has a stray {stray[0]!r} at position {place.index('{') + 1} " in error.problem
    assert "KEY0123" not in str(error)


@pytest.mark.parametrize("key", ["KEY0123…", "KEYé", "\u041aEY0123"])
def test_an_api_key_is_ascii(key: str) -> None:
    """An ellipsis from an abbreviated key, or a Cyrillic К, cannot stand in a header: not even an HTTP client starts."""
    error = refused(TELNYX_API_KEY=key)

    assert error.setting == "TELNYX_API_KEY"


def test_a_pem_key_has_line_ends() -> None:
    """They belong to it."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    assert read(TELNYX_PUBLIC_KEY=pem).telnyx_public_key == pem
    assert read(TELNYX_PUBLIC_KEY=pem.replace("\n", "\\n")).telnyx_public_key == pem.replace("\n", "\\n")


@pytest.mark.parametrize("folder", ["/Users/kim/Call Data", "/data/it's here", "/données"])
def test_a_folder_may_be_called_anything(folder: str) -> None:
    """People's folders have blanks; only what hangs on at an end was pasted by mistake."""
    settings = read(CALLPATH_DATA_DIR=folder)

    assert settings.data_dir == Path(folder)
    assert settings.log_url() == f"sqlite:///{folder}/callpath.db"
    assert read(DATABASE_URL=settings.log_url()).database_url == settings.log_url()
    for stray in ("\n", " ", '"'):
        assert refused(CALLPATH_DATA_DIR=folder + stray).setting == "CALLPATH_DATA_DIR"
