"""TCP006: another service answers on this port."""

import re

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts, TcpFacts, TlsFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import answer, failed, upgrade

_SERVICES: tuple[tuple[bytes, str], ...] = (
    (rb"^SSH-", "SSH"),
    (rb"^220[ -].*(SMTP|ESMTP|mail)", "a mail server (SMTP)"),
    (rb"^220[ -]", "FTP or mail"),
    (rb"^\* OK", "IMAP"),
    (rb"^\+OK", "POP3 or Redis"),
    (rb"^-(ERR|NOAUTH|DENIED)", "Redis"),
    (rb"^RFB 00", "VNC"),
    (rb"^SIP/2", "SIP"),
    (rb"^RTSP/", "RTSP"),
    (rb"^.{3}\x00\x0a[5-9]\.", "MySQL"),
    (rb"^INFO \{", "NATS"),
    (rb"^AMQP", "AMQP"),
    (rb"^\x15?E.{0,8}(FATAL|unsupported frontend)", "PostgreSQL"),
)


def check(facts: Facts) -> Finding | None:
    facts[TcpFacts] if TcpFacts in facts else facts[UpgradeFacts]
    heads: list[bytes] = []
    tls, upgrade_facts = facts.get(TlsFacts), facts.get(UpgradeFacts)
    if tls is not None and tls.carrier.outcome != "ok":
        heads += [tls.carrier.first_bytes, tls.plain_answer]
    if upgrade_facts is not None and upgrade_facts.carrier.outcome != "answer":
        heads += [upgrade_facts.carrier.raw, upgrade_facts.silent_bytes]
    for head in heads:
        for pattern, service in _SERVICES:
            if re.search(pattern, head[:200], re.DOTALL):
                return Finding(
                    f"the port speaks another protocol: {service}", (Seen(f"it said: {head[:80]!r}", "its greeting"),)
                )
    return None


def not_http(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None or carrier.outcome != "malformed" or carrier.raw[:1] == b"\x15":
        return None
    return Finding(f"the answer cannot be read as HTTP: {carrier.raw[:48]!r}", (show(carrier),))


CAUSE = Cause(
    code="TCP006",
    slug="tcp-wrong-service",
    merged=("http-malformed-answer",),
    title="Another service answers on this port",
    owner="you",
    why="The port in the URL, or the forwarding behind it, belongs to something that speaks neither TLS nor HTTP.",
    fix="Correct the port in the URL, or the target of the port forwarding; ss -ltnp shows who listens where.",
    signs=(
        Sign(
            "url",
            check,
            named={"SSH": upgrade(failed("malformed", raw=b"SSH-2.0-OpenSSH_9.2\r\n"))},
            quiet={"an HTTP server that hangs": upgrade(failed("timeout"))},
        ),
        Sign(
            "url",
            not_http,
            code="HTTP013",
            title="The answer is not HTTP",
            why="Something on this port answers with other bytes: another protocol, or a hand-made server whose "
            "status line or head is broken.",
            fix="See what listens on the port (ss -ltnp), and compare its answer with RFC 9112: status line, headers, "
            "an empty line.",
            named={"garbage": upgrade(failed("malformed", raw=b"hello\r\n"))},
            quiet={"HTTP": upgrade(answer(404))},
        ),
    ),
)
