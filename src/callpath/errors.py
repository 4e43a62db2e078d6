"""Every error that callpath raises on purpose.

    CallpathError
      ConfigError            a setting is missing or wrong: names it and shows a right one
      RemoteProtocolError    Telnyx, or someone posing as it, broke the protocol
        SignatureError       the webhook is not authentic, or too old
      LocalProtocolError     we tried what is not legal now: a bug in callpath or a handler
        InvalidRequestError  a handler asked for what cannot be done: nothing was sent; `reason` says which
      AudioError             the audio given cannot be used: a file, a rate, a codec
      ControlError           Call Control said no: status, code, detail, command_id, retryable
      StoreError             the call log could not be read or written
      ArchiveError           a recording could not be put where recordings are kept, or got from there
      EvidenceError          a file of the doctor's evidence cannot be read
      PlatformError          the host's own API (Railway) said no, or could not be reached

A peer's fault inside a running stream is an event, not an exception. Ids are attributes, so that they can be logged; no
phone number, digit, token or transcript stands in a message.
"""

from __future__ import annotations


class CallpathError(Exception):
    """Base of all errors below. The text says what happened, where, and what to do."""


class ConfigError(CallpathError):
    """A setting is missing or wrong.

    `setting` is the name as the user writes it (`PUBLIC_URL`), `hint` shows a right value.
    """

    def __init__(self, setting: str, problem: str, hint: str) -> None:
        super().__init__(f"{setting} {problem}. {hint}")
        self.setting = setting
        self.problem = problem
        self.hint = hint


class EvidenceError(CallpathError):
    """A file that `callpath doctor judge` was given holds no facts, or facts of another shape."""


class RemoteProtocolError(CallpathError):
    """The peer broke the protocol. `reason` is a fixed slug that counters and timelines use."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SignatureError(RemoteProtocolError):
    """A webhook that cannot be trusted: unsigned, signed by another key, altered, or too old."""


class LocalProtocolError(CallpathError):
    """We tried what is not legal in this state of the call. A bug of ours, or of a handler."""


class InvalidRequestError(LocalProtocolError):
    """A handler or an application asked for something that cannot be done, and nothing was sent. `reason` is a fixed slug.

    `call_over` the call has ended; `second_gather` one is running; `bad_digits` outside 0-9 A-D * # (w, W); `not_e164` no
    number in E.164 and no SIP address; `not_sip` no SIP address; `transfer_to_self` to the caller or the number that was
    called; `second_transfer` one is ringing, or somebody is consulted; `second_recording` Telnyx records already;
    `recording_over` it was stopped, or its disk failed; `second_transcription` one is running; `in_conference` the call
    is in one already; `not_in_conference` it has left; `conference_over` it ended, or nobody is in it; `name_in_use` of
    a conference; `bad_role` in a conference; `text_length` 1 to 3,000 characters; `out_of_range` a number of seconds or
    digits; `no_connection` no connection id to dial with; `not_allowed` a destination that may not be dialled;
    `too_many_calls` a cap on dialled calls; `key_used` the key of a dial to another number; `not_running` the server
    does not run; `unknown_handler` no handler of that name.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AudioError(CallpathError):
    """Audio that cannot be used as asked: the text names the file, rate or codec and what is accepted."""


class ControlError(CallpathError):
    """Call Control refused a command, or could not be reached.

    `status` is the HTTP status (None when no answer came), `code` Telnyx's own code as text ("90018"),
    `retryable` says whether the identical command may be sent again with the same command_id; `attempts` and
    `latency_ms` cover all tries that were made, `wait_ms` is how long Telnyx asks us to wait before the next.
    """

    def __init__(
        self,
        message: str,
        *,
        command: str,
        command_id: str | None = None,
        status: int | None = None,
        code: str | None = None,
        detail: str | None = None,
        retryable: bool = False,
        wait_ms: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.command = command
        self.command_id = command_id
        self.status = status
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.wait_ms = wait_ms
        self.attempts = 1
        self.latency_ms = 0.0


class StoreError(CallpathError):
    """The call log could not be read or written. What was not stored was not acknowledged either."""


class ArchiveError(CallpathError):
    """Where recordings are kept, something failed. `code` is permanent and stands in timelines and metrics."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class PlatformError(CallpathError):
    """The host's own API refused a question or gave no answer. `status` is the HTTP status; None: no answer came."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
