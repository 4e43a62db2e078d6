"""What the report of a cause looks like: its first example, judged and written as any other."""

from __future__ import annotations

from callpath.doctor.account import account_text, judge_account
from callpath.doctor.evidence import judge_facts
from callpath.doctor.facts import Facts
from callpath.doctor.report import terminal
from callpath.doctor.rule import Cause


def sample_report(cause: Cause, width: int = 80) -> str:
    """The report on the first example that names this cause, as wide as a terminal; "" where none does."""
    for sign in cause.signs:
        for facts in sign.named.values():
            of_account = sign.source == "account"
            diagnosis = judge_account(Facts(*facts)) if of_account else judge_facts(Facts(*facts))
            said = (diagnosis.verdict,) if diagnosis.verdict is not None else diagnosis.notes
            if cause.slug not in {found.rule.slug for found in said}:
                continue
            text = (
                account_text(diagnosis, colour=False) if of_account else terminal(diagnosis, colour=False, width=width)
            )
            return "\n".join(line.rstrip() for line in text.strip().split("\n"))
    return ""
