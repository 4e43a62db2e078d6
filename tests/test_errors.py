"""The errors that callpath raises on purpose."""

from __future__ import annotations

import inspect
import re

import pytest

from callpath import errors
from callpath.errors import CallpathError, ConfigError, ControlError, RemoteProtocolError, SignatureError

FAMILY = {
    "CallpathError": "Exception",
    "ConfigError": "CallpathError",
    "RemoteProtocolError": "CallpathError",
    "SignatureError": "RemoteProtocolError",
    "LocalProtocolError": "CallpathError",
    "InvalidRequestError": "LocalProtocolError",
    "AudioError": "CallpathError",
    "ControlError": "CallpathError",
    "StoreError": "CallpathError",
    "ArchiveError": "CallpathError",
    "EvidenceError": "CallpathError",
    "PlatformError": "CallpathError",
}


def test_the_family() -> None:
    """`except CallpathError` catches all of ours; a moved branch would pass by someone's `except`."""
    found = {kind.__name__: kind.__mro__[1].__name__ for kind in vars(errors).values() if inspect.isclass(kind)}

    assert found == FAMILY


def test_the_tree_at_the_head_of_the_module_is_true() -> None:
    """It is what people read instead of the classes."""
    lines = re.findall(r"^( {4,8})(\w+Error)\b", errors.__doc__ or "", re.M)
    drawn: dict[str, str] = {}
    above = {2: "Exception"}
    for blanks, name in lines:
        above[len(blanks)] = name
        drawn[name] = above[len(blanks) - 2]

    assert drawn == FAMILY


def test_a_config_error_reads_as_one_sentence_and_a_hint() -> None:
    """It is printed as it is, behind "callpath: "."""
    error = ConfigError("PORT", "is 'http': no number", "Right is, for example, PORT=8000")

    assert str(error) == "PORT is 'http': no number. Right is, for example, PORT=8000"
    assert (error.setting, error.problem, error.hint) == (
        "PORT",
        "is 'http': no number",
        "Right is, for example, PORT=8000",
    )


@pytest.mark.parametrize("kind", [RemoteProtocolError, SignatureError])
def test_a_protocol_error_has_a_reason_to_count_by(kind: type[RemoteProtocolError]) -> None:
    """Texts change, reasons do not: counters and timelines hold them."""
    error = kind("stale", "signed 301 s ago")

    assert (error.reason, str(error)) == ("stale", "signed 301 s ago")


def test_a_control_error_carries_what_can_be_logged() -> None:
    """Ids are attributes, so that a log can be searched by them; unknown ones are None, not missing."""
    bare = ControlError("answer failed", command="answer")
    whole = ControlError(
        "answer was refused",
        command="answer",
        command_id="c-1",
        status=422,
        code="90018",
        detail="Call has already ended",
        retryable=False,
    )

    assert (bare.command_id, bare.status, bare.code, bare.detail, bare.retryable) == (None, None, None, None, False)
    assert (bare.attempts, bare.latency_ms) == (1, 0.0)
    assert (whole.command, whole.command_id, whole.status, whole.code) == ("answer", "c-1", 422, "90018")
    assert isinstance(whole, CallpathError)
