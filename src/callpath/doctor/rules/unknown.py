"""UNKNOWN001: something is wrong, and no rule knows what."""

from callpath.doctor.answers import sentence, show
from callpath.doctor.closings import early, show_ending
from callpath.doctor.facts import DnsFacts, Facts, IdleFacts, MediaFacts, TcpFacts, TlsFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import answer, nothing, tls, upgrade


def check_tls(facts: Facts) -> Finding | None:
    carrier = facts[TlsFacts].carrier
    if carrier.outcome == "ok":
        return None
    shapes = tuple(f"{s.shape}: {s.outcome} {s.reason}".rstrip() for s in facts[TlsFacts].shapes)
    return Finding(
        f"the TLS handshake fails: {carrier.outcome} {carrier.reason or carrier.verify_message}".rstrip(),
        (f"carrier: {carrier.outcome} {carrier.reason}".rstrip(), *shapes),
        kind="open",
        confidence="low",
        candidates=("proxy-protocol-expected",) if carrier.outcome in {"eof", "reset", "timeout"} else (),
        question="What does the TLS terminator's error log say at this second?",
    )


def check_http(facts: Facts) -> Finding | None:
    carrier = facts[UpgradeFacts].carrier
    if carrier.upgraded:
        return None
    shapes = tuple(show(exchange) for exchange in facts[UpgradeFacts].shapes[:4])
    told = sentence(carrier)
    return Finding(
        f"the upgrade is answered with {carrier.status}: {told!r}"
        if told
        else "the upgrade is not answered with 101; what refuses it, and why, is not known",
        (show(carrier), *shapes),
        kind="open",
        confidence="low",
        question="Does the request show in the application's own log? If not, what stands before it answers: look "
        "there.",
    )


def check_stream(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None:
        idle = facts.get(IdleFacts)
        cut = [hold for hold in idle.holds if hold.ending.by == "peer"] if idle is not None else []
        if not cut:
            return None
        return Finding(
            "streams were cut while they were held open; the pattern fits no known limit",
            tuple(
                f"{hold.traffic}: {hold.ending.code or hold.ending.kind} after {hold.held_ms / 1000:.1f} s"
                for hold in cut
            ),
            kind="open",
            confidence="low",
            candidates=("proxy-idle-timeout", "max-duration-cutoff"),
            question="Does it drop at the same second again (--idle)? Then it is a timer; read the proxies' timeouts.",
        )
    return Finding(
        f"the stream ended early, {show_ending(ending)} after {ending.at_ms:.0f} ms; the cause is not known",
        (
            show_ending(ending),
            f"{len(facts[MediaFacts].arrivals)} messages had come, {facts[MediaFacts].sent_frames} frames were sent",
        ),
        kind="open",
        confidence="low",
        question="What does the application log at this second?",
    )


def check_lower(facts: Facts) -> Finding | None:
    looked = facts[DnsFacts]
    tcp = facts.get(TcpFacts)
    if looked.addresses and (tcp is None or tcp.open):
        return None
    where = "no address" if not looked.addresses else "no connection"
    seen = tuple(f"{q.server}: {q.record} {q.outcome} {q.rcode}" for q in looked.queries) + tuple(
        f"{a.address}:{a.port} {a.outcome} {a.error}" for a in (tcp.attempts if tcp is not None else ())
    )
    return Finding(
        f"{where}; the cause is not known",
        seen,
        kind="open",
        confidence="low",
        question="What does the same try from another network show?",
    )


_WHY = "The evidence fits none of the causes the doctor knows, or several; a guess would send you the wrong way."
_FIX = "Answer the question above, or send the JSON report (callpath doctor url --json URL) to whoever runs that "
"layer."

CAUSES = (
    Cause(
        code="UNKNOWN001",
        slug="unknown-connection-fault",
        title="No connection; cause not known",
        layer="tcp",
        owner="unclear",
        why=_WHY,
        fix=_FIX,
        signs=(Sign("url", check_lower, fallback=True),),
    ),
    Cause(
        code="UNKNOWN002",
        slug="unknown-tls-fault",
        title="TLS fails; cause not known",
        layer="tls",
        owner="unclear",
        why=_WHY,
        fix=_FIX,
        signs=(
            Sign(
                "url",
                check_tls,
                fallback=True,
                named={"an odd alert": tls("alert", reason="ODD")},
                quiet={"a good handshake": tls()},
                unchecked={"no handshake was tried": nothing()},
            ),
        ),
    ),
    Cause(
        code="UNKNOWN003",
        slug="unknown-upgrade-refusal",
        title="The upgrade is refused; cause not known",
        layer="http",
        owner="unclear",
        why=_WHY,
        fix=_FIX,
        signs=(
            Sign(
                "url",
                check_http,
                fallback=True,
                named={"a teapot": upgrade(answer(418))},
                quiet={"an upgrade": upgrade(answer(101))},
                unchecked={"nothing was tried": nothing()},
            ),
        ),
    ),
    Cause(
        code="UNKNOWN004",
        slug="unknown-stream-end",
        title="The stream ends early; cause not known",
        layer="protocol",
        owner="unclear",
        why=_WHY,
        fix=_FIX,
        signs=(Sign("url", check_stream, fallback=True),),
    ),
)
