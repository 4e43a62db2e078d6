"""Events and commands in a few words each, for people. Pure.

    event_words("call.hangup", payload)     the line was busy (user_busy, SIP 486)
    command_words("transfer", body)         to another number, ringing 20 s at most

No phone number, digit, transcript or text that was spoken stands in them. "": the name says it all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from callpath.wire.document import Json

HANGUP_CAUSES = {
    "normal_clearing": "a normal end",
    "originator_cancel": "cancelled before anybody answered",
    "user_busy": "the line was busy",
    "call_rejected": "rejected",
    "no_answer": "nobody answered",
    "timeout": "not answered in time",
    "not_found": "the number does not exist or cannot be reached",
    "time_limit": "the call's time limit was reached",
    "unspecified": "no cause given",
    "normal_unspecified": "no cause given",
    "network_out_of_order": "a carrier's network failed",
    "destination_out_of_order": "the far carrier failed",
    "service_unavailable": "a carrier was not available",
    "recovery_on_timer_expire": "a carrier's timer ran out",
    "subscriber_absent": "the phone is off or out of reach",
    "no_user_response": "the phone did not respond",
}
"""Telnyx's hangup_cause in words."""

DETECTED = {
    "human": "a person",
    "human_residence": "a person, at home",
    "human_business": "a person, at a company",
    "machine": "a machine (voicemail)",
    "fax": "a fax",
    "fax_detected": "a fax",
    "silence": "silence",
    "not_sure": "not sure whether a person or a machine",
    "screening": "a phone that asks who is calling",
    "beep_detected": "the beep was heard",
    "no_beep_detected": "no beep was heard",
    "ended": "the greeting is over",
    "prompt_ended": "the prompt is over",
}
"""Results of answering machine detection."""

_GATHERED = {
    "valid": "entered as asked",
    "invalid": "not what was asked for",
    "timeout": "the time ran out",
    "call_hangup": "the call was hung up meanwhile",
    "cancelled": "stopped",
    "cancelled_amd": "stopped for answering machine detection",
}

_PLAYED = {
    "completed": "to its end",
    "call_hangup": "cut off, the call was hung up",
    "cancelled": "stopped",
    "cancelled_amd": "stopped for answering machine detection",
    "failed": "failed",
    "file_not_found": "the file was not found",
}

_DEQUEUED = {"bridged": "joined with another leg", "bridging-in-process": "being joined with another leg",
             "hangup": "hung up", "leave": "taken out", "timeout": "waited too long"}  # fmt: skip

_CONFERENCE_ENDS = {"all_left": "everybody left", "host_left": "its host left", "time_exceeded": "its time was over"}


def hangup_words(cause: str | None, sip_code: str | None = None) -> str:
    """Why a leg ended: Telnyx's cause in words, and as Telnyx names it."""
    sip = f"SIP {sip_code}" if sip_code and sip_code.isdigit() and (sip_code != "200" or not cause) else ""
    named = ", ".join(part for part in (cause or "", sip) if part)
    words = HANGUP_CAUSES.get(cause or "", "ended")
    return f"{words} ({named})" if named else words


def _hangup(payload: Json) -> str:
    cause, sip = (_text(payload, name) for name in ("hangup_cause", "sip_hangup_cause"))
    source = _text(payload, "hangup_source")
    error = payload.get("telnyx_error")
    d_code = error.get("error_code") if isinstance(error, dict) else None
    by = f", by the {source}" if source in ("caller", "callee") else ""
    return hangup_words(cause, sip) + by + (f", Telnyx says {d_code}" if isinstance(d_code, str) else "")


def _initiated(payload: Json) -> str:
    return {"incoming": "a call comes in", "outgoing": "a number is dialled"}.get(_text(payload, "direction"), "")


def _gathered(payload: Json) -> str:
    digits = _text(payload, "digits")
    count = f"{_count(len(digits), 'key')}, " if digits else ""
    return count + _GATHERED.get(_text(payload, "status"), _text(payload, "status"))


def _played(payload: Json) -> str:
    status = _text(payload, "status")
    detail = _text(payload, "status_detail")
    return _PLAYED.get(status, status) + (f" ({detail})" if detail and status != "completed" else "")


def _detected(payload: Json) -> str:
    result = _text(payload, "result")
    return DETECTED.get(result, result)


def _recorded(payload: Json) -> str:
    parts = (_text(payload, "format"), {"dual": "each side on its own channel", "single": "one channel"}.get(
        _text(payload, "channels"), ""))  # fmt: skip
    return ", ".join(part for part in parts if part)


def _referred(payload: Json) -> str:
    code = payload.get("sip_notify_response")
    return f"SIP {code}" if isinstance(code, int) else ""


def _queued(payload: Json) -> str:
    position = payload.get("current_position")
    return f"at place {position}" if isinstance(position, int) else ""


def _dequeued(payload: Json) -> str:
    reason, waited = _text(payload, "reason"), payload.get("wait_time_secs")
    after = f" after {waited} s" if isinstance(waited, int) else ""
    return _DEQUEUED.get(reason, reason) + after


def _conference_ended(payload: Json) -> str:
    reason = _text(payload, "reason")
    return _CONFERENCE_ENDS.get(reason, reason)


def _cost(payload: Json) -> str:
    total, billed = payload.get("total_cost"), payload.get("billed_duration_secs")
    parts = (f"total {total}" if total else "", f"{billed} s billed" if isinstance(billed, int) else "")
    return ", ".join(part for part in parts if part)


def _named(name: str) -> Callable[[Json], str]:
    return lambda payload: _text(payload, name)


_EVENTS: dict[str, str | Callable[[Json], str]] = {
    "call.initiated": _initiated,
    "call.answered": "",
    "call.bridged": "joined with another leg",
    "call.hangup": _hangup,
    "call.dtmf.received": "a key was pressed",
    "call.gather.ended": _gathered,
    "call.ai_gather.ended": _gathered,
    "call.speak.ended": _played,
    "call.playback.ended": _played,
    "call.machine.detection.ended": _detected,
    "call.machine.greeting.ended": _detected,
    "call.machine.premium.detection.ended": _detected,
    "call.machine.premium.greeting.ended": _detected,
    "call.machine.premium.call_screening.detected": "a phone that asks who is calling",
    "call.recording.saved": _recorded,
    "call.recording.error": _named("reason"),
    "call.enqueued": _queued,
    "call.dequeued": _dequeued,
    "call.refer.started": _referred,
    "call.refer.completed": _referred,
    "call.refer.failed": _referred,
    "call.cost": _cost,
    "call.conversation.start_failed": _named("reason"),
    "call.deepfake_detection.result": _named("result"),
    "call.deepfake_detection.error": _named("error_message"),
    "streaming.failed": _named("failure_reason"),
    "siprec.failed": _named("failure_cause"),
    "conference.participant.joined": "this leg is in the conference",
    "conference.participant.left": "this leg left the conference",
    "conference.ended": _conference_ended,
    "conference.floor.changed": "somebody else speaks",
    "conference.recording.saved": _recorded,
}


def event_words(event_type: str, payload: Json) -> str:
    """What an event says, beside its name."""
    name = event_type if "." in event_type else event_type.replace("_", ".")
    words = _EVENTS.get(name, "")
    return words if isinstance(words, str) else words(payload)


# --- commands ----------------------------------------------------------------------------------------------------------


def _rings(body: Json) -> str:
    seconds = body.get("timeout_secs")
    return f"ringing {seconds} s at most" if isinstance(seconds, int) else ""


def _detects(body: Json) -> str:
    mode = _text(body, "answering_machine_detection")
    return "" if mode in ("", "disabled") else "with answering machine detection"


def _to(body: Json) -> str:
    return "to a SIP address" if _text(body, "to").startswith("sip:") else "to another number"


def _transfer(body: Json) -> str:
    stays = "the caller stays if the other leaves" if _text(body, "park_after_unbridge") else ""
    return _joined(_to(body), _rings(body), _detects(body), stays)


def _dial(body: Json) -> str:
    linked = "joined with this call at the answer" if body.get("bridge_on_answer") else ""
    return _joined(_to(body), _rings(body), _detects(body), linked)


def _gather(body: Json) -> str:
    digits, seconds = body.get("maximum_digits"), body.get("timeout_millis")
    up_to = f"{_count(digits, 'key')} at most" if isinstance(digits, int) else ""
    within = f"within {seconds / 1000:g} s" if isinstance(seconds, int | float) else ""
    return _joined(up_to, within, _spoken(body))


def _spoken(body: Json) -> str:
    text = _text(body, "payload")
    return f"a text of {_count(len(text), 'character')}" if text else ""


def _playback(body: Json) -> str:
    loop = body.get("loop")
    again = "again and again" if loop == "infinity" else f"{loop} times" if isinstance(loop, int) and loop > 1 else ""
    return _joined("a file" if body.get("audio_url") or body.get("media_name") else "", again)


def _stream(body: Json) -> str:
    return "with the media stream" if body.get("stream_url") else ""


def _conference(body: Json) -> str:
    on_hold = "on hold" if body.get("hold") else ""
    muted = "muted" if body.get("mute") else ""
    ends = "the conference ends when this leg leaves" if body.get("end_conference_on_exit") else ""
    role = _text(body, "supervisor_role")
    return _joined(on_hold, muted, ends, "" if role in ("", "none") else f"as supervisor ({role})")


def _record(body: Json) -> str:
    return _recorded(body)


_COMMANDS: dict[str, Callable[[Json], str]] = {
    "answer": _stream,
    "dial": _dial,
    "transfer": _transfer,
    "refer": lambda _: "to a SIP address",
    "reject": lambda body: _text(body, "cause").lower().replace("_", " "),
    "bridge": lambda body: "with the first of a queue" if body.get("queue") else "with another leg",
    "speak": _spoken,
    "playback_start": _playback,
    "gather": _gather,
    "gather_using_speak": _gather,
    "gather_using_audio": _gather,
    "send_dtmf": lambda body: _count(len(_text(body, "digits")), "tone"),
    "record_start": _record,
    "create": _conference,
    "join": _conference,
    "update": _conference,
}


def command_words(command: str, body: Json) -> str:
    """What a command asks for, beside its name."""
    make = _COMMANDS.get(command.removeprefix("conference_").removeprefix("conference "))
    return make(body) if make is not None and body else ""


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""
