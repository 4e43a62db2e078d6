"""Every cause: found by the walk, true to its examples, and pure."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import callpath.doctor.rules as rules
from callpath.doctor.facts import FactMissing, Facts
from callpath.doctor.rule import Cause, Example, Rule
from callpath.doctor.rules import CAUSES, RULES, known, rules_of
from callpath.doctor.rules.sample_account import refused_key

FOLDER = Path(rules.__file__).parent
FILES = sorted(path for path in FOLDER.rglob("*.py") if not path.stem.startswith(("__init__", "sample")))
NAMED = [rule for rule in RULES if not rule.fallback]
EXAMPLES = [(rule, example) for rule in RULES for example in rule.examples]


@pytest.mark.parametrize(
    ("rule", "example"), EXAMPLES, ids=[f"{rule.sign}: {example.title}" for rule, example in EXAMPLES]
)
def test_example(rule: Rule, example: Example) -> None:
    """The examples are what `doctor explain` shows: a rule that does otherwise lies to whoever reads it."""
    try:
        fired: bool | None = rule.check(example.facts) is not None
    except FactMissing:
        fired = None

    assert example.fires == fired


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_holds_a_cause_that_is_found(path: Path) -> None:
    """A cause that is written and not found never speaks."""
    module = importlib.import_module(
        ".".join(["callpath.doctor.rules", *path.relative_to(FOLDER).with_suffix("").parts])
    )
    here = (*getattr(module, "CAUSES", ()), *([module.CAUSE] if hasattr(module, "CAUSE") else ()))

    assert here
    assert {cause.code for cause in here} <= {cause.code for cause in CAUSES}


OF_THE_ACCOUNT = [rule for rule in RULES if rule.layer == "account" and rule.code not in {"TELNYX001", "TELNYX002"}]


@pytest.mark.parametrize("rule", OF_THE_ACCOUNT, ids=lambda rule: rule.sign)
def test_nothing_is_said_of_an_account_that_could_not_be_read(rule: Rule) -> None:
    """With a key that Telnyx refuses, "no credit" or "no application" would be made up."""
    with pytest.raises(FactMissing):
        rule.check(refused_key())


def test_codes_and_slugs_lead_to_one_cause() -> None:
    """A code in an old ticket must lead to one page, and a slug to one file."""
    codes = [code for cause in CAUSES for code in (cause.code, *cause.old_codes)]
    slugs = [name for cause in CAUSES for name in (cause.slug, *cause.merged) if not name.isupper()]

    assert sorted(set(codes)) == sorted(codes)
    assert sorted(set(slugs)) == sorted(slugs)


def test_an_old_code_is_still_known() -> None:
    """Verdicts that were stored before causes were merged carry the old code."""
    assert [("ROUTE001", "url-path-mismatch")] == [(cause.code, cause.slug) for cause in known("edge006")]
    assert known("ROUTE001") == known("EDGE006") == known("url-path-mismatch")
    assert () == known("EDGE999")


@pytest.mark.parametrize(
    ("old", "slug"),
    [
        ("HTTP013", "tcp-wrong-service"),
        ("http-malformed-answer", "tcp-wrong-service"),
        ("HTTP021", "ws-host-check"),
        ("misdirected-request-421", "ws-host-check"),
        ("URL009", "url-malformed"),
        ("url-too-long", "url-malformed"),
        ("URL011", "ws-auth-required-401"),
        ("url-userinfo", "ws-auth-required-401"),
        ("TELNYX007", "number-not-assigned"),
        ("number-on-sip-connection", "number-not-assigned"),
        ("TELNYX008", "number-not-assigned"),
        ("number-on-other-application", "number-not-assigned"),
        ("PLATFORM002", "platform-domain-not-ready"),
        ("platform-certificate-not-issued", "platform-domain-not-ready"),
        ("platform-dns-requires-update", "platform-domain-not-ready"),
        ("PLATFORM004", "platform-domain-not-ready"),
        ("platform-domain-unverified", "platform-domain-not-ready"),
    ],
)
def test_what_a_merged_cause_was_called_is_known(old: str, slug: str) -> None:
    """It stands in reports, tickets, alert rules and links; `doctor explain` has to find it."""
    assert [slug] == [cause.slug for cause in known(old)]


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if len(cause.signs) > 1], ids=lambda cause: cause.code)
def test_only_the_first_sign_takes_the_code_of_its_cause(cause: Cause) -> None:
    """Two signs with one key could not be placed apart."""
    signs = [rule.sign for rule in cause.rules()]

    assert len(set(signs)) == len(signs)


@pytest.mark.parametrize("rule", NAMED, ids=lambda rule: rule.sign)
def test_fires_and_keeps_quiet(rule: Rule) -> None:
    """A rule without a quiet example may fire on the healthy."""
    assert {True, False} <= {example.fires for example in rule.examples}


@pytest.mark.parametrize("rule", NAMED, ids=lambda rule: rule.sign)
def test_says_not_checked_without_facts(rule: Rule) -> None:
    """What nobody looked at must not pass for ok."""
    with pytest.raises(FactMissing):
        rule.check(Facts())


def test_sources_are_apart() -> None:
    """A past call must not be judged by what only a probe of now can see."""
    assert {"edge"} == {rule.source for rule in rules_of("edge")}
    assert {rule.slug for rule in rules_of("url", fallback=True)} == {
        "unknown-connection-fault", "unknown-tls-fault", "unknown-upgrade-refusal", "unknown-stream-end",
    }  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_rules_do_no_input_or_output(path: Path) -> None:
    """Rules judge recorded calls too, where there is no network to ask."""
    tree = ast.parse(path.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert set() == imported & {"asyncio", "socket", "ssl", "time", "httpx2", "websockets"}
