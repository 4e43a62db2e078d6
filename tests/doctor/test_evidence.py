"""Facts as JSON and back: a bug report is a test."""

from __future__ import annotations

import base64
import json

import pytest

from callpath.doctor.evidence import evidence, judge_again, judge_facts, read_facts, write_facts
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Example, Rule
from callpath.doctor.rules import RULES
from callpath.doctor.rules.sample import answer, media, upgrade
from callpath.doctor.rules.sample_call import a_call, after, hook, sent
from callpath.doctor.verdict import Diagnosis
from callpath.errors import EvidenceError
from callpath.timeline import DtmfReceived

EXAMPLES = [(rule, example) for rule in RULES for example in rule.examples if example.fires]


def told(diagnosis: Diagnosis) -> object:
    return (
        diagnosis.healthy,
        diagnosis.exit_code,
        [(found.rule.slug, found.finding.kind, found.under) for found in diagnosis.findings],
        [note.rule.slug for note in diagnosis.notes],
    )


@pytest.mark.parametrize(
    ("rule", "example"), EXAMPLES, ids=[f"{rule.sign}: {example.title}" for rule, example in EXAMPLES]
)
def test_what_is_written_is_judged_the_same(rule: Rule, example: Example) -> None:
    """Evidence that is judged otherwise than what it was taken from would prove nothing; hiding numbers changes nothing."""
    before = judge_facts(Facts(*example.facts))
    after = judge_again(json.dumps(evidence(before)))

    assert told(before) == told(after)


def test_facts_come_back_as_they_were() -> None:
    """Bytes, tuples and nested facts."""
    facts = media(ending=None)

    assert list(facts) == list(read_facts(json.loads(json.dumps(write_facts(facts)))))


def test_numbers_and_secrets_are_hidden() -> None:
    """The file is made to be sent to somebody."""
    text = json.dumps(evidence(judge_facts(Facts(*_account())), ["s3cr3t-value"]))

    assert "15555550123" not in text
    assert "s3cr3t-value" not in text


def _account() -> Facts:
    from callpath.doctor.rules.sample_account import account, number

    return account(row=number(phone_number="+15555550123", tags=["s3cr3t-value"]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no json", "not JSON"),
        ("[]", "--json"),
        ('{"healthy": true}', 'no "facts"'),
        ('{"facts": {"TcpFacts": {"attempts": 7}}}', "TcpFacts"),
        ('{"facts": {"CallFacts": {}}}', "CallFacts"),
        ('{"facts": {}, "steps": 1}', "steps"),
    ],
)
def test_what_is_no_evidence_is_refused(text: str, says: str) -> None:
    """With what is wrong and what to give instead."""
    with pytest.raises(EvidenceError, match=says):
        judge_again(text)


def test_facts_of_another_version_are_left_out() -> None:
    """A file of next year has a fact more; the rest is judged."""
    assert [] == list(read_facts({"WeatherFacts": {"rain": True}}))


def test_audio_that_looks_like_a_number_is_kept() -> None:
    """Base64 may hold what reads like a key or a number; hiding that would break the file."""
    for seed in range(300):
        payload = bytes((seed * 31 + n * n) % 256 for n in range(160))
        facts = media(Arrival(20.0, "text", 300, "", "media", payload))
        text = json.dumps(evidence(judge_facts(facts)))

        assert payload == judge_again(text).facts[MediaFacts].arrivals[0].payload


def test_secrets_in_a_body_are_hidden() -> None:
    """A server may echo what it was asked with."""
    text = json.dumps(evidence(judge_facts(upgrade(answer(418, "token=s3cr3t-of-mine")))))
    body = json.loads(text)["facts"]["UpgradeFacts"]["carrier"]["body"]

    assert b"token=[hidden]" == base64.b64decode(body)


def test_what_a_caller_pressed_and_said_is_hidden() -> None:
    """Keys, words and names look like any other text: the field that holds them says what they are."""
    facts = a_call(
        *after(
            0,
            hook("call.initiated", caller_id_name="Erika Mustermann", client_state="cHJpdmF0ZQ=="),
            DtmfReceived(digit="7"),
            hook("call.gather.ended", digits="83*16#749", status="valid"),
            hook("call.transcription", transcription_data={"transcript": "my account number is"}),
            sent("speak", payload="Your balance is 12 dollars", voice="female"),
        )
    )
    text = json.dumps(evidence(judge_facts(facts)), ensure_ascii=False)

    for private in ("Erika", "cHJpdmF0ZQ==", "83*16#749", '"digit": "7"', "my account", "Your balance"):
        assert private not in text
    assert '"•••••••••"' in text
    before, after_ = judge_facts(facts).findings, judge_again(text).findings
    assert [(one.rule.code, one.finding.summary) for one in before] == [
        (one.rule.code, one.finding.summary) for one in after_
    ]
