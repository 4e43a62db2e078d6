"""TLS004: the chain is complete but ends in a root nobody knows."""

import re

from callpath.doctor.facts import Certificate, ControlFacts, Facts, TlsFacts, UrlFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import certificate, tls

_UNKNOWN_ISSUER = {
    2,
    19,
    20,
    21,
    7,
    33,
}  # unable to get issuer, self-signed in chain, local issuer, first certificate, signature

_SELF_SIGNED_IN_CHAIN = 19

_INTERMEDIATE = re.compile(
    r"intermediate|issuing|subordinate|\bsub[- ]?ca\b|signing|\bICA\b|CN=[RE]\d{1,2},|\bTLS (RSA|ECC)\b"
    r"|Server CA|\bDV\b|CA\s?[1-9]\b|G\d\b",
    re.IGNORECASE,
)

_ROOT = re.compile(r"root", re.IGNORECASE)


def chain_ends_early(looked: TlsFacts) -> bool | None:
    """Is the last certificate's issuer an intermediate that was not sent (True), or a root that servers need not send
    (False)? None: its name does not tell."""
    if not looked.chain:
        return None
    last = looked.chain[-1]
    if looked.carrier.verify_code == _SELF_SIGNED_IN_CHAIN or last.self_signed:
        return False
    if looked.issuer_found_by_url or (last.issuer_issuer and last.issuer_issuer in looked.trusted_names):
        return True
    if last.issuer in looked.trusted_names:
        return False  # of the same name as a root we trust, but signed by another key
    if last.issuer_issuer and last.issuer_issuer == last.issuer:
        return False
    if _ROOT.search(last.issuer):
        return False
    if _INTERMEDIATE.search(last.issuer):
        return True
    if len(looked.chain) > 1:
        return False  # somebody did set up the chain; what is left out is the root
    if _same_house(last, looked.trusted_names):
        return True
    if last.issuer_urls:
        return True  # only authorities with a hierarchy publish where their certificate is
    return None if looked.ca_given else False


def _same_house(last: Certificate, trusted: tuple[str, ...]) -> bool:
    """The unknown issuer carries the organisation of a root we trust."""
    houses = {part for name in trusted for part in name.split(",") if part.startswith("O=")}
    return any(part in houses for part in last.issuer.split(","))


def _trusted_only_here(facts: Facts, looked: TlsFacts) -> Finding | None:
    """This machine's store holds the root, Mozilla's list does not. The control tells a private authority from an
    inspection of all traffic (MACHINE005)."""
    given, control = facts.get(UrlFacts), facts.get(ControlFacts)
    if given is not None and given.local:
        return None
    issuer = looked.chain[-1].issuer if looked.chain else "an unknown authority"
    evidence: tuple[str, ...] = (
        f"sent: {' <- '.join(c.subject for c in looked.chain)}",
        Seen("verified by this machine's store only", "the two lists of roots"),
    )
    if control is not None and control.mozilla == "ok":
        return Finding(
            f"the chain ends at {issuer}, which this machine trusts and Mozilla's list of roots does not", evidence
        )
    if control is not None and control.mozilla == "untrusted":
        return None
    return Finding(
        f"this machine trusts {issuer}, Mozilla's list of roots does not",
        evidence,
        kind="open",
        confidence="low",
        candidates=("tls-untrusted-root", "machine-tls-inspected"),
        question="Is that root a private one of the server, or does this network inspect TLS? Compare from another "
        "network: openssl s_client -connect HOST:443 -servername HOST </dev/null",
    )


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    if looked.carrier.outcome == "ok" and looked.mozilla == "untrusted":
        return _trusted_only_here(facts, looked)
    if looked.carrier.outcome != "untrusted" or looked.carrier.verify_code not in _UNKNOWN_ISSUER or not looked.chain:
        return None
    last = looked.chain[-1]
    if len(looked.chain) == 1 and last.self_signed:
        return None
    evidence: tuple[str, ...] = (
        f"sent: {' <- '.join(c.subject for c in looked.chain)}",
        f"issuer of the last: {last.issuer}",
        Seen(f"verify: {looked.carrier.verify_message}", "the check of the chain"),
    )
    if looked.mozilla == "untrusted":
        evidence += (Seen("Mozilla's list of roots: not trusted either", "Mozilla's list of roots"),)
    early = chain_ends_early(looked)
    if early:
        return None
    if early is None:
        return Finding(
            f"{last.issuer} signed the certificate, is not trusted and was not sent",
            evidence,
            kind="open",
            confidence="low",
            candidates=("tls-untrusted-root", "tls-missing-intermediate"),
            question=f"Is {last.issuer} an intermediate of a root you trust (then send it along), or a root of its own?",
        )
    return Finding(f"the chain ends at {last.issuer}, which is in no list of public roots", evidence)


CAUSE = Cause.of(
    "url",
    check,
    code="TLS004",
    slug="tls-untrusted-root",
    title="The certificate comes from an authority that is not public",
    owner="you",
    why="A private or corporate CA (or a root that was withdrawn): machines that were given that root connect, a "
    "carrier does not.",
    fix="Use a certificate of a public authority for this name: certbot --nginx -d HOST",
    named={
        "a corporate root": tls(
            "untrusted",
            certificate(issuer="CN=Example Corporate Root CA"),
            verify_code=20,
            verify_message="unable to get local issuer certificate",
        )
    },
    quiet={
        "the intermediate is missing": tls(
            "untrusted",
            certificate(issuer="CN=Example Intermediate CA"),
            verify_code=20,
            verify_message="unable to get local issuer certificate",
        )
    },
)
