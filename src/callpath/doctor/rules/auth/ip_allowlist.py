"""AUTH005: only some sources are let in."""

import re

from callpath.doctor.answers import any_variant_works, own_proxy_answer, refused, show, words_of, works
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_WORDS = re.compile(
    r"\bip\b[^\n]{0,50}(not|denied|blocked|forbidden|allow)|(not|denied|forbidden)[^\n]{0,30}\b(ip"
    r"|source)\b|allow[- ]?list|white[- ]?list|your (ip|address)",
    re.IGNORECASE,
)


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 401, 403, 404)
    if carrier is None:
        return None
    forwarded = works(facts, "forwarded-carrier")
    if forwarded is not None:
        return Finding(
            "with the carrier's address in X-Forwarded-For the same upgrade works (which anybody can send)",
            (show(carrier), show(forwarded)),
        )
    if carrier.status != 403 or any_variant_works(facts):
        return None
    if len(carrier.text) < 2000 and _WORDS.search(words_of(carrier)):
        return Finding("the refusal speaks of addresses", (show(carrier),))
    proxy = own_proxy_answer(carrier)
    upgrade_facts = facts[UpgradeFacts]
    plain, browser = upgrade_facts.shape("plain"), upgrade_facts.shape("browser")
    if proxy and all(x is not None and x.status == 403 and author(x).name == proxy for x in (plain, browser)):
        return Finding(
            f"{proxy} itself forbids this path, whatever the request looks like",
            (show(carrier), *(show(x) for x in (plain, browser) if x is not None)),
            confidence="medium",
        )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="AUTH005",
    slug="ip-allowlist-403",
    title="Only listed source addresses are let in",
    owner="you",
    why="allow/deny, Require ip or a filter of the application admits some addresses. This probe is outside the list; "
    "whether the carrier is inside, only the list itself can tell. A filter behind a proxy may see the proxy's "
    "address.",
    fix="Add the carrier's ranges (Telnyx lists them with its webhook addresses), or exempt the stream's path and "
    "check its token; behind a proxy trust its X-Forwarded-For (`trust proxy`, real_ip).",
    named={
        "the carrier's address opens it": upgrade(answer(403), answer(101, shape="forwarded-carrier")),
        "nginx forbids in every shape": upgrade(
            *(answer(403, "<center>nginx</center>", shape=s) for s in ("carrier", "plain", "browser"))
        ),
    },
    quiet={"a bare 403": upgrade(answer(403))},
)
