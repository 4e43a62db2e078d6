"""Writes the tables in docs/reference from the code that they are about: `make docs`.

With --check it writes nothing and exits 1 where a page is out of date.
"""

from __future__ import annotations

import ast
import inspect
import sys
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path

from callpath.config import Settings
from callpath.doctor.report import cause_pages
from callpath.doctor.rules import CAUSES
from callpath.doctor.samples import sample_report
from callpath.simulator import control_faults as control_faults  # they join the table of all faults
from callpath.simulator.api import (
    CONFERENCE_ACTIONS,
    CONFERENCE_NOT_SIMULATED,
    NOT_SIMULATED,
    RESOURCES_NOT_SIMULATED,
)
from callpath.simulator.callee import SCRIPTS
from callpath.simulator.link import FAULTS
from callpath.simulator.options import CarrierOptions
from callpath.simulator.verdict import CODES
from callpath.timeline import KINDS
from callpath.wire.command import COMMANDS

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
        "`FLY_APP_NAME`. `CALLPATH_CLIENT_ADDRESS` is what the host's edge sends on Railway (`x-real-ip`), Fly.io "
        "(`fly-client-ip`) and Heroku (`x-forwarded-for:1`).\n"
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


def simulator_page() -> str:
    """What the simulator can do: its commands, its faults, its options."""
    lines = [
        "# The Telnyx simulator\n",
        MADE + "## Commands\n",
        "Bodies, defaults, refusals and webhooks are Telnyx's. Every documented field is judged; what has no effect here "
        "is said below. Actions that Telnyx has and the simulator has not are answered with 501 Not simulated: "
        + ", ".join(f"`{name}`" for name in NOT_SIMULATED)
        + ". So is every other path of Telnyx's API without a route here: "
        + ", ".join(f"`/{name}`" for name in RESOURCES_NOT_SIMULATED)
        + ".\n",
        "| command | what it does |",
        "|---|---|",
        *(f"| `{name}` | {_doc(command)} |" for name, command in COMMANDS.items() if name not in NOT_SIMULATED),
        "\nAccepted without an effect: `voice` and all about how a voice sounds (a hum is heard for as long as the text "
        "would take), `record_timeout_secs`, `mute_dtmf`, `media_encryption`, SIP headers and credentials, "
        "`sound_modifications`, assistants and Dialogflow. "
        "A fork sends no RTP. `to` as a list calls the first one.\n",
        "## Conferences\n",
        "`POST /conferences` with an answered call and a name, `GET /conferences`, `/conferences/{id}` and its "
        "participants, and the actions "
        + ", ".join(f"`{name}`" for name in CONFERENCE_ACTIONS)
        + ", by id or name. All who are in it hear each other, apart from who is muted, on hold, or there to monitor or to "
        "whisper; on hold the file of `audio_url` plays. A media stream of a participant goes on, with the mix on its "
        "outbound track. Ending a conference by a command hangs the creator's leg up wherever it has gone (observed). "
        "Answered with 501: " + ", ".join(f"`{name}`" for name in CONFERENCE_NOT_SIMULATED) + ".\n",
        "## Queues\n",
        "`enqueue`, `leave_queue`, `bridge` with `queue`, `POST /queues`, `GET /queues`, `/queues/{name}` and its calls; "
        "max_wait_time_secs and keep_after_hangup hold. What a bridge to an empty queue is answered with is unknown; here "
        "it is 90033.\n",
        "## Conversation Relay\n",
        "`conversation_relay_start`, or `conversation_relay_config` of answer and dial, opens the program's socket: setup, "
        "then a prompt for each thing that the caller says, keys with `dtmf_detection`, an interrupt where the caller cuts "
        'what is spoken. The words are those of `say="a text"`, or `words=` for a recording: nothing is recognised. '
        "`text`, `play`, `sendDigits`, `language` and `end` are carried out; a text is a hum of its length. The same words "
        "are transcribed after `transcription_start`.\n",
        "## Not modelled\n",
        "No SIP and no RTP: causes and SIP codes stand in the webhooks only, as Telnyx tells them. No 18x "
        "progress; a caller who is transferred hears a ringback tone until the target answers. `hangup` of an unanswered "
        "call gives call_rejected/603 (inbound, not documented) or originator_cancel/487 (outbound); `reject` gives 486, "
        "603, 404 or 480. Detection of machines judges by the callee's script and never by sound; its verdict comes after "
        "`amd_ms`. No carrier's codecs, no transcoding losses, no jitter between phone and Telnyx. No billing and no "
        "regions.\n",
        "## Dialled parties\n",
        'Who is at a dialled number: `Simulator(callees={"+15555550101": "voicemail", "+1555*": "busy"})`, '
        '`callpath simulate --callee NUMBER=SCRIPT`, or `PUT /simulator/callee` with `{"number": …, "script": …}`. '
        "Further settings go behind commas: `voicemail,rings=2s,says=Hi,hangs-up-after=10s`. In Python a "
        "`callpath.simulator.callee.Callee` says the rest.\n",
        "| script | what it does |",
        "|---|---|",
        *(f"| `{name}` | {what} |" for name, (_, what) in SCRIPTS.items()),
        "",
        "A dial or transfer is refused as Telnyx refuses it: D17 without money, D38 and D15 without an outbound profile or "
        "with one that is disabled, D1, D2 and D3 for limits of concurrent calls (`outbound_calls_max`, the profile's, the "
        "application's), D51 for a caller ID that is not ours (`check_from`) or a `diversion` without its call, D53 for a "
        "call to the caller ID itself, any other one by `refused=CODE` or `dial_refused`; 429 for dials a second and an "
        "hour (`dials_max`, `dials_an_hour_max`).\n",
        "## Verdicts\n",
        "`callpath simulate --json` gives `verdict.code`, its sentence and notes. `N` stands for a number or a name.\n",
        "| code | what it means |",
        "|---|---|",
        *(f"| `{code}` | {meaning} |" for code, meaning in CODES.items()),
        "",
        "## Faults\n",
        "`--fault NAME` or `--fault NAME=VALUE`; in a program `Simulator.call(faults=[...])`.\n",
        "| fault | what happens | what the server must do | what the doctor should name |",
        "|---|---|---|---|",
    ]
    for name, fault in FAULTS.items():
        told = ", ".join(f"{one.name} {one.default}" for one in fields(fault) if one.init)
        must, cause = getattr(fault, "MUST", ""), getattr(fault, "CAUSE", "")
        lines.append(f"| `{name}`{f' ({told})' if told else ''} | {_doc(fault)} | {must} | {cause} |")
    lines += [
        "\n## Options\n",
        "`Simulator(options=CarrierOptions(...))`: what can be set up differently, and whatever Telnyx leaves unknown.\n",
        "| option | default | what it means |",
        "|---|---|---|",
    ]
    said = _said_of_fields(CarrierOptions)
    for option in fields(CarrierOptions):
        default = option.default if option.default_factory is MISSING else option.default_factory()
        lines.append(f"| `{option.name}` | `{default!r}` | {said.get(option.name, '')} |")
    return "\n".join(lines) + "\n"


def _doc(thing: object) -> str:
    return " ".join((inspect.getdoc(thing) or "").split())


def _said_of_fields(cls: type) -> dict[str, str]:
    """The text that stands below each field."""
    (body,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(body, ast.ClassDef)
    said = {}
    for field, text in pairwise(body.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            said[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return said


def pages() -> dict[str, str]:
    """Every page, by its name below reference/."""
    causes = {f"causes/{name}": text for name, text in cause_pages(CAUSES, sample_report).items()}
    made = {"settings.md": settings_page(), "timeline.md": timeline_page(), "simulator.md": simulator_page()}
    return made | causes


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
