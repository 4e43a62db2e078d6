"""AUTH004: a filter turns programs or upgrades away."""

import re

from callpath.doctor.answers import edge_refusal, own_proxy_answer, refused, show, words_of, works
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_WORDS = re.compile(
    r"mod_?security|web application firewall|\bWAF\b|request (was )?blocked|has been blocked|incident id"
    r"|reference (id|#)|not acceptable"
    r"|checking your browser|enable javascript|restrict access|access denied.{0,40}cloudflare|captcha"
    r"|security (rule|policy)|malicious|suspicious|sucuri|imperva|incapsula|akamai|bot (detected|traffic)"
    r"|automated",
    re.IGNORECASE,
)


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 400, 403, 406, 418, 444, 451, 493, 499, 501, 503)
    if carrier is None:
        return None
    upgrade_facts = facts[UpgradeFacts]
    browser = works(facts, "browser-agent")
    if browser is not None:
        return Finding(
            "with a browser's User-Agent the same upgrade works",
            (show(carrier), show(browser)),
            title="Only browsers are let through",
        )
    if works(facts, "origin") is not None:
        return None
    row = edge_refusal(facts, "blocked")
    if row is not None:
        return Finding(f"{row.edge}: {row.summary}", (show(carrier),), fix=row.fix)
    if carrier.status in {403, 406, 418, 451, 493, 503} and _WORDS.search(words_of(carrier)):
        return Finding("a filter says that it blocked the request", (show(carrier),))
    if carrier.status == 403 and author(carrier).kind == "edge" and edge_refusal(facts, "no-app", "app-down") is None:
        return Finding(f"{author(carrier).name} itself forbids the request", (show(carrier),), confidence="medium")
    plain = upgrade_facts.shape("plain")
    forbidding = carrier.status in {403, 406, 499} and (own_proxy_answer(carrier) or carrier.status != 403)
    if forbidding and plain is not None and plain.outcome == "answer" and plain.status != carrier.status:
        return Finding(
            "the proxy lets a plain GET of the same path through and forbids the upgrade",
            (show(carrier), show(plain)),
            confidence="medium",
        )
    if carrier.status == 406:
        return Finding("406 is what filters answer (ModSecurity's default)", (show(carrier),), confidence="medium")
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="AUTH004",
    slug="waf-blocks-upgrade",
    title="A filter blocks the upgrade",
    owner="you",
    why="A web application firewall or a rule about user agents or headers takes the carrier's request for an attack "
    "or a bot.",
    fix="Exempt the stream's path from the rule set (ModSecurity: SecRuleRemoveById or ctl:ruleEngine=Off for the "
    "location).",
    named={
        "browsers pass": upgrade(answer(403), answer(101, shape="browser-agent")),
        "it says so": upgrade(answer(403, "Request blocked. Incident ID: 17")),
    },
    quiet={"a bare 403": upgrade(answer(403))},
)
