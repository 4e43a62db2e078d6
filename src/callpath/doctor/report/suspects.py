"""The three usual suspects, each with a verdict in plain words; and what was proven and what was not."""

from __future__ import annotations

import re

from callpath.doctor import calls
from callpath.doctor.facts import (
    Arrived,
    CallFacts,
    DnsFacts,
    EdgeFacts,
    Facts,
    IdleFacts,
    MediaFacts,
    RepeatFacts,
    ServedFacts,
    TcpFacts,
    TelnyxCallFacts,
    TlsFacts,
    UpgradeFacts,
    UrlFacts,
)  # fmt: skip
from callpath.doctor.platform import recognise
from callpath.doctor.verdict import Found, Suspect
from callpath.timeline import FirstInbound, SocketReceived, SocketRejected, StreamStarted

_NO_WEBSOCKET = {"platform-no-websocket", "app-has-no-websocket"}


def judge_suspects(facts: Facts, verdict: Found | None) -> tuple[Suspect, ...]:
    """The platform, the way, the URL: the three that are always accused."""
    if CallFacts in facts:
        return _of_a_call(facts, verdict)
    return (_platform(facts, verdict), _reachable(facts, verdict), _url(facts, verdict))


def _of_a_call(facts: Facts, verdict: Found | None) -> tuple[Suspect, ...]:
    """The same of a call that was: what its timeline says of them, and a probe's word only where one was made."""
    call = facts[CallFacts]
    if not call.entries:
        return ()  # no call: nobody is accused
    names = ("the platform does not do WebSockets", "the carrier cannot reach the URL", "the URL's form is wrong")
    if calls.every(call, SocketReceived, SocketRejected, StreamStarted, FirstInbound):
        words = "No: the socket of this very call came through."
        return tuple(Suspect(name, False, words) for name in names)
    if calls.accepted(call) is None:
        words = "Not the question: the call did not come so far that a socket was due."
        return tuple(Suspect(name, None, words) for name in names)
    slug = verdict.rule.slug if verdict is not None and verdict.finding.kind == "fault" else ""
    if UpgradeFacts in facts or TcpFacts in facts:
        return (_platform(facts, verdict), _reachable(facts, verdict), _url(facts, verdict))
    url = (
        Suspect(names[2], True, f"Yes: {verdict.finding.summary}")
        if verdict is not None and slug.startswith("url-")
        else Suspect(names[2], None, "Nothing says so: no part of it differs from what this server serves.")
        if ServedFacts in facts
        else Suspect(names[2], None, "Not seen: it could not be compared with what the server serves.")
    )
    said = calls.payload(calls.webhook(call, "streaming.failed")).get("failure_reason")
    way = (
        f"Telnyx reports streaming.failed ({said}) and does not say why; the URL was not probed."
        if said
        else "Not proven: no socket came, and the URL was not probed."
    )
    if slug in {"url-private-host", "url-stale-host"}:
        way = "Yes, as the URL was: see the verdict."
    return (
        Suspect(names[0], None, "Not seen. It is hardly ever the cause: all larger platforms pass WebSockets."),
        Suspect(names[1], True if way.startswith("Yes") else None, way),
        url,
    )


def _platform(facts: Facts, verdict: Found | None) -> Suspect:
    name = "the platform does not do WebSockets"
    upgrade = facts.get(UpgradeFacts)
    slug = verdict.rule.slug if verdict else ""
    if upgrade is None:
        return Suspect(
            name, None, "Not seen: the examination stopped below. It is hardly ever the cause: Railway, Render, Fly, "
            "Heroku, Cloud Run, Cloudflare and ALB all pass WebSockets with nothing to switch on."
        )  # fmt: skip
    edges = [trace.name for trace in recognise(upgrade.carrier, *upgrade.shapes) if trace.kind == "edge"]
    where = f" ({', '.join(edges)})" if edges else ""
    if upgrade.carrier.upgraded or any(exchange.upgraded for exchange in upgrade.shapes):
        return Suspect(name, False, f"No: an upgrade through it{where} was answered with 101.")
    if slug == "platform-no-websocket":
        return Suspect(name, True, f"Yes: what answers{where} cannot upgrade on any path.")
    if slug in _NO_WEBSOCKET:
        return Suspect(name, False, f"No: the request reached the application{where}, which has no WebSocket there.")
    return Suspect(
        name, False if verdict and verdict.finding.kind == "fault" else None,
        f"Nothing says so{where}: the refusal has another cause, see the verdict."
        if verdict and verdict.finding.kind == "fault" else f"Not proven either way{where}.",
    )  # fmt: skip


def _reachable(facts: Facts, verdict: Found | None) -> Suspect:
    name = "the carrier cannot reach the URL"
    slug = verdict.rule.slug if verdict else ""
    dns, tcp, tls, given = facts.get(DnsFacts), facts.get(TcpFacts), facts.get(TlsFacts), facts.get(UrlFacts)
    if slug in {"url-private-host", "dns-private-address"}:
        return Suspect(name, True, "Yes: the address exists only on this machine or inside this network.")
    if dns is not None and not dns.addresses:
        return Suspect(name, True, "Yes: the name leads nowhere.")
    if tcp is None and tls is None and facts.get(UpgradeFacts) is None:
        return Suspect(name, None, "Not seen: no connection was tried.")
    if tcp is not None and not tcp.open:
        return Suspect(name, True, "Yes: no address takes a connection on this port.")
    if tls is not None and tls.carrier.outcome != "ok":
        return Suspect(name, True, "Yes: a connection opens, but the TLS handshake a carrier makes fails.")
    if slug in {"ip-allowlist-403", "cloudflare-challenge-403", "waf-blocks-upgrade", "access-gate"}:
        return Suspect(name, True, "Yes: something in front turns programs away before the application sees them.")
    if dns is not None and dns.classes and all(kind == "loopback" for kind in dns.classes):
        return Suspect(name, None, "Reached from this machine; the address is this machine's own, so nothing is known "
                                   "about the way from outside.")  # fmt: skip
    return Suspect(
        name, None if given is not None and given.local else False,
        "Not seen: this was a local test." if given is not None and given.local else "Not seen from here: DNS, TCP"
        + (" and TLS" if tls is not None else "")
        + " work. A firewall that admits only some sources can only be excluded from the carrier's side.",
    )  # fmt: skip


def _url(facts: Facts, verdict: Found | None) -> Suspect:
    name = "the URL's form is wrong"
    url = facts.get(UrlFacts)
    if url is None:
        return Suspect(name, None, "Not seen.")
    if verdict is not None and verdict.rule.slug.startswith("url-"):
        return Suspect(name, True, f"Yes: {verdict.finding.summary}")
    upgrade = facts.get(UpgradeFacts)
    if upgrade is not None and upgrade.carrier.upgraded:
        return Suspect(name, False, "No: it parses, and this very path upgrades.")
    return Suspect(name, None if upgrade is None else False,
                   "Scheme, host, port and path read well; nothing says that another form would do better.")  # fmt: skip


def proven(facts: Facts) -> tuple[str, ...]:
    """What this examination really showed."""
    lines = _proven_by_call(facts[CallFacts]) if CallFacts in facts else []
    tcp, tls, upgrade = facts.get(TcpFacts), facts.get(TlsFacts), facts.get(UpgradeFacts)
    media, repeats, idle = facts.get(MediaFacts), facts.get(RepeatFacts), facts.get(IdleFacts)
    if tcp is not None and tcp.open:
        lines.append(f"{len(tcp.open)} of {len(tcp.attempts)} addresses take connections")
    if tls is not None and tls.carrier.outcome == "ok":
        lines.append("the certificate is valid for this name, and the chain is complete")
    if upgrade is not None and upgrade.carrier.upgraded:
        lines.append("an upgrade without Origin, compression or subprotocol is answered with a correct 101")
    if media is not None and media.sent_frames:
        lines.append(f"{media.sent_frames} frames of {media.codec} were taken over {media.sending_ms / 1000:.1f} s")
        if media.media:
            lines.append(f"{len(media.media)} media frames came back")
        if media.echo_likeness > 0.6 and media.echo_ms is not None:
            lines.append(f"our own sound came back after {max(0.0, media.echo_ms):.0f} ms")
    if media is not None and media.arrived is not None:
        lines.append(_seen_by_the_server(media.arrived))
    if repeats is not None and repeats.tries and all(attempt.fine for attempt in repeats.tries):
        lines.append(f"{len(repeats.tries)} more upgrades were all fine")
    if idle is not None and all(hold.ending.by != "peer" for hold in idle.holds):
        lines.append(f"silent and busy streams stayed open for {idle.wanted_ms / 1000:.0f} s")
    return tuple(lines)


def _proven_by_call(call: CallFacts) -> list[str]:
    begin = call.entries[0].at_unix_ms if call.entries else 0
    lines = [
        f"{stage.label}, {(at - begin) / 1000:.3f} s into the call" for stage, at in sorted(call.state.stages.items())
    ]
    played = calls.packets(call, "outbound")
    if played:
        lines.append(f"Telnyx played {played} packets ({played / 50:.1f} s) to the phone")
    return lines


_OURS = re.compile("host|upgrade|connection|user-agent|sec-websocket-.*|x-telnyx-streaming-auth-token")
"""Headers that the probe itself sends."""


def _seen_by_the_server(arrived: Arrived) -> str:
    """The other end's view: what a proxy changed on the way stands out beside what was asked for."""
    added = [f"{name}: {text}" for name, text in arrived.headers if not _OURS.fullmatch(name)]
    target = arrived.path + (f"?{arrived.query}" if arrived.query else "")
    came = f"the callpath server got {target} as {arrived.scheme or '?'} from {arrived.client or '?'}"
    return came + (f"; added on the way: {', '.join(added)[:300]}" if added else "; nothing was added on the way")


def unproven(facts: Facts) -> tuple[str, ...]:
    """What no probe from here can show, or was not asked to."""
    if CallFacts in facts:
        return _unproven_of_call(facts)
    lines = ["that the carrier's own network is admitted (only its call attempts can show that)"]
    media = facts.get(MediaFacts)
    if media is not None and not media.media:
        lines.append("that the server sends audio: none came in this time, which is right for one that only listens")
    if media is not None and media.media and media.heard_as == "unknown":
        lines.append(
            f"that the audio is {media.codec}, as the stream says: its content could not be told from the bytes"
        )
    if facts.get(IdleFacts) is None:
        lines.append("that a quiet stream stays open: run with --idle SECONDS")
    return tuple(lines)


def _unproven_of_call(facts: Facts) -> tuple[str, ...]:
    call = facts[CallFacts]
    lines = ["what a person at the phone really heard: frames and packets are counted, not listened to"]
    if TelnyxCallFacts not in facts:
        lines.append("what Telnyx itself says of the call: it was not asked")
    if EdgeFacts not in facts:
        lines.append("what came to the platform's edge: its log was not read")
    if not calls.every(call, SocketReceived, StreamStarted) and UpgradeFacts not in facts and calls.accepted(call):
        lines.append("whether the stream's URL upgrades: it was not probed")
    return tuple(lines)
