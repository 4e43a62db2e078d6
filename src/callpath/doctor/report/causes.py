"""What a code means: a page for each cause."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable

from callpath.doctor import precedence
from callpath.doctor.rule import Cause


def explained(cause: Cause, asked: str = "", sample: str = "") -> str:
    """One cause as a page of Markdown for the reference; `sample` is a report in which it is named."""
    lines = [f"# {cause.code} {cause.slug}", "", f"**{cause.title}**", ""]
    lines += [moved, ""] if (moved := _moved(cause, asked)) else []
    lines += [
        f"Layer: {cause.layer}. Owner: {cause.owner}.", "", "## Why", "", cause.why, "",
        "## Fix", "", *(["```", cause.fix, "```"] if "\n" in cause.fix else [cause.fix]), "",
    ]  # fmt: skip
    own = [f"- {name}: {words}" for name, words in cause.fixes.items() if words not in cause.fix]
    lines += [*own, ""] if own else []
    for sign in cause.signs:
        own = [f"**{sign.title}**. " if sign.title else "", f"{sign.why} " if sign.why else ""]
        own += [f"Fix: {sign.fix}" if sign.fix else "", *(f" {name}: {words}" for name, words in sign.fixes.items())]
        if any(own):
            lines += [
                f"## Seen in {_SOURCES[sign.source]}",
                "",
                "".join(own),
                "",
            ]
    if sample:
        lines += ["## A sample report", "", "```text", sample, "```", ""]
    for head, titles in _examples(cause):
        lines += [f"{head}: {'; '.join(titles)}.", ""]
    deeper = precedence.explained_by(cause)
    if deeper:
        lines += [f"Explained by, where one of these is found too: {', '.join(deeper)}.", ""]
    formerly = tuple(dict.fromkeys((*cause.old_codes, *cause.merged)))
    if formerly:
        lines += [f"Also known as: {', '.join(formerly)}.", ""]
    return "\n".join(lines)


def _moved(cause: Cause, asked: str) -> str:
    """A word to who asked by a name that the cause had before, in any case."""
    former = {name.lower(): name for name in (*cause.old_codes, *cause.merged)}.get(asked.lower(), "")
    return f"{former} is now part of {cause.code} {cause.slug}." if former else ""


def _examples(cause: Cause) -> list[tuple[str, list[str]]]:
    """What it is named for, and what it is not to be taken for, in the words of its examples."""
    named = list(dict.fromkeys(title for sign in cause.signs for title in sign.named))
    quiet = list(dict.fromkeys(title for sign in cause.signs for title in sign.quiet))
    return [(head, titles) for head, titles in (("Named for", named), ("Not named for", quiet)) if titles]


def explained_plain(cause: Cause, asked: str = "", width: int = 80, sample: str = "") -> str:
    """The same page for a terminal, as wide as that is."""

    def wrapped(text: str, indent: str = "  ", hanging: str = "  ") -> str:
        return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=hanging, break_on_hyphens=False)

    lines = [f"{cause.code} {cause.slug}", wrapped(cause.title, "", "")]
    lines += [moved] if (moved := _moved(cause, asked)) else []
    lines += ["", f"Layer: {cause.layer}. Owner: {cause.owner}.", "", "Why", wrapped(cause.why), "", "Fix"]
    lines += [wrapped(line) for line in cause.fix.split("\n")]
    lines += [
        wrapped(f"{name}: {words}", "  - ", "    ") for name, words in cause.fixes.items() if words not in cause.fix
    ]
    for sign in cause.signs:
        parts = (sign.title and f"{sign.title}.", sign.why, sign.fix and f"Fix: {sign.fix}")
        if any(parts):
            lines += ["", f"Seen in {_SOURCES[sign.source]}", wrapped(" ".join(part for part in parts if part))]
    if sample:
        lines += ["", "A sample report", *(f"  {line}".rstrip() for line in sample.split("\n"))]
    for head, titles in _examples(cause):
        lines += ["", head, *(wrapped(title, "  - ", "    ") for title in titles)]
    deeper = precedence.explained_by(cause)
    if deeper:
        lines += ["", wrapped(f"Explained by, where one of these is found too: {', '.join(deeper)}.", "", "")]
    return "\n".join(lines) + "\n"


_SOURCES = {
    "url": "a live probe",
    "call": "a past call",
    "edge": "the platform's edge log",
    "account": "the account",
    "files": "the project's files",
}


SYMPTOMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("The phone rings and nobody answers", ("webhook-never-came", "number-not-assigned", "webhook-url-mismatch",
        "webhook-unreachable", "webhook-signature-refused", "api-version-1-webhooks", "api-key-invalid", "server-sleeps")),
    ("Answered, and silence: the WebSocket never connects", ("stream-connection-failed", "socket-never-came",
        "url-stale-host", "dns-nxdomain", "tcp-refused", "tcp-timeout-firewall-drop", "tls-untrusted-root",
        "tls-missing-intermediate", "url-private-host", "streaming-start-never-sent", "streaming-start-refused")),
    ("The caller hears nothing, though the socket is open", ("handler-played-nothing", "bidirectional-mode-missing",
        "outbound-envelope-wrong", "outbound-not-base64", "target-legs-opposite", "sends-silence", "handler-crashed")),
    ("The bot hears nothing", ("no-inbound-media", "inbound-silence", "stream-track-wrong", "inbound-media-stalled")),
    ("Loud static, noise, chipmunk or slow voice", ("codec-alaw-as-ulaw", "codec-pcm16-sent-as-ulaw", "l16-byte-order",
        "sample-rate-mismatch", "codec-container-sent", "rtp-header-sent", "rtp-header-received", "wrong-encoding")),
    ("Choppy audio, gaps, delay", ("send-too-slow-underrun", "event-loop-blocked", "media-lost-or-late", "handler-behind",
        "burst-send-too-fast")),
    ("The upgrade is answered 200", ("spa-fallback-200", "proxy-upgrade-headers-stripped", "upgrade-not-taken",
        "app-has-no-websocket")),
    ("400 or 426", ("proxy-upgrade-headers-stripped", "ws-version-or-key-rejected", "ws-subprotocol-required",
        "ws-host-check")),
    ("301, 302, 307 or 308", ("redirect-on-upgrade", "webhook-redirected", "access-gate", "url-scheme-not-wss")),
    ("401 or 403", ("ws-auth-required-401", "asgi-route-missing-403", "ws-origin-check-403", "cloudflare-challenge-403",
        "waf-blocks-upgrade", "ip-allowlist-403", "access-gate", "ws-token-wrong")),
    ("404", ("url-path-mismatch", "proxy-location-missing", "edge-app-not-found", "node-ws-attached-to-other-server",
        "url-double-slash-or-trailing", "webhook-404")),
    ("429", ("rate-limited-429", "rate-limited")),
    ("500", ("app-crash-on-connect", "proxy-internal-error-500")),
    ("502, 503 or 504", ("edge-app-failed-to-respond", "proxy-upstream-down", "proxy-upstream-timeout-504",
        "crash-loop-or-oom", "service-unavailable-503", "cloudflare-52x-origin")),
    ("Close 1000, 1005, 1008 or 1011 right after the start", ("session-lookup-fails", "app-closes-stream",
        "app-crash-on-connect", "ws-auth-required-401", "fastify-websocket-handler-signature")),
    ("1006, or cut after the same time in each call", ("proxy-idle-timeout", "max-duration-cutoff", "socket-lost",
        "deploy-kills-streams", "killed-before-drained")),
    ("Some calls work, some do not", ("wrong-instance", "backend-flapping", "dns-one-address-dead", "dns-stale-record",
        "edge-cold-start", "rate-limited-429")),
    ("Works in a browser, and not from Telnyx", ("ws-origin-check-403", "tls-missing-intermediate", "access-gate",
        "cloudflare-challenge-403", "dns-private-address", "url-private-host")),
)  # fmt: skip
"""What people see and search for, and what it may be: the likeliest first."""


def cause_pages(causes: Iterable[Cause], sample: Callable[[Cause], str] = lambda _: "") -> dict[str, str]:
    """File name to text: a page for each cause, a line for each code that was merged into one, and an index."""
    known = tuple(causes)
    by_slug = {cause.slug: cause for cause in known}
    index = ["# Causes", "", "## By what is seen", ""]
    for seen, slugs in SYMPTOMS:
        index += [f"### {seen}", ""]
        index += [f"- [{by_slug[slug].title}]({by_slug[slug].code}.md)" for slug in slugs if slug in by_slug] + [""]
    index += ["## All", "", "In the order in which they are named first.", ""]
    index += ["| code | cause | title | layer | owner |", "|---|---|---|---|---|"]
    index += [
        f"| [{cause.code}]({cause.code}.md) | {cause.slug} | {cause.title} | {cause.layer} | {cause.owner} |"
        for cause in known
    ]
    moved = {
        f"{old}.md": f"# {old}\n\n{old} is now part of [{cause.code} {cause.slug}]({cause.code}.md): {cause.title}.\n"
        for cause in known
        for old in cause.old_codes
    }
    pages = {f"{cause.code}.md": explained(cause, sample=sample(cause)) for cause in known}
    return {"index.md": "\n".join(index) + "\n"} | moved | pages
