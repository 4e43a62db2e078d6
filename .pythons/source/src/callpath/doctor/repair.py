"""What of an account can be set right by API: which change, from what to what, and how to undo it.

Only what is beyond doubt is changed: the application's `active`, `webhook_event_url` and `webhook_api_version`, and to
which application a number leads. Whatever else is wrong is a matter of money, papers or intent.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from urllib.parse import urlsplit

from callpath.doctor.accounts import masked, named
from callpath.doctor.facts import AccountFacts, Facts, ServedFacts
from callpath.doctor.probes.telnyx import Telnyx
from callpath.doctor.urls import differences
from callpath.wire.api import CallControlApplication
from callpath.wire.document import Json
from callpath.wire.ids import path_segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One PATCH. `before` is the body that undoes it; `guessed` says that nobody named the thing that is changed."""

    what: str
    path: str
    body: Json
    before: Json
    guessed: bool = False

    @property
    def lines(self) -> tuple[tuple[str, str, str], ...]:
        """(field, old, new) of what really changes."""
        return tuple(
            (name, _shown(self.before.get(name)), _shown(value))
            for name, value in self.body.items()
            if self.before.get(name) != value
        )


def plan(facts: Facts) -> tuple[Change, ...]:
    """What would be changed, in order; empty where nothing can be, or nothing need be."""
    account, served = facts.get(AccountFacts), facts.get(ServedFacts)
    if account is None or account.application is None:
        return ()
    application = account.application
    guessed = not _is_meant(account, application, served)
    changes = []
    body: Json = {}
    if application.active is False:
        body["active"] = True
    if served is not None and differences(application.webhook_event_url or "", served.webhook_url):
        body["webhook_event_url"] = served.webhook_url
    if application.webhook_api_version not in ("2", None):
        body["webhook_api_version"] = "2"
    if body:
        # Name and URL have to be in each change, as Telnyx's specification has it.
        kept = {
            "application_name": application.application_name or "",
            "webhook_event_url": application.webhook_event_url or "",
        }
        before = kept | {name: getattr(application, name) for name in body}
        changes.append(
            Change(
                what=f"the application {named(application)}",
                path=f"/call_control_applications/{path_segment(application.id)}",
                body=kept | body,
                before=before,
                guessed=guessed,
            )
        )
    number = account.number
    if number is not None and number.get("id") and number.get("connection_id") != application.id:
        changes.append(
            Change(
                what=f"the number {masked(number.get('phone_number'))}",
                path=f"/phone_numbers/{path_segment(str(number['id']))}",
                body={"connection_id": application.id},
                before={"connection_id": number.get("connection_id") or ""},
                guessed=guessed,
            )
        )
    return tuple(changes)


def _is_meant(account: AccountFacts, application: CallControlApplication, served: ServedFacts | None) -> bool:
    """Whether somebody named this application, by its id, a number that leads to it, or a URL that can only be ours."""
    if account.chosen_by in {"asked", "url"}:
        return True
    # Where the numbers had to be listed nobody named one: it is the only one, and so is a guess, too.
    if not account.numbers_listed and account.number and account.number.get("connection_id") == application.id:
        return True
    theirs = urlsplit(application.webhook_event_url or "")
    return (
        account.chosen_by == "host"
        and served is not None
        and theirs.path.strip("/").lower() == urlsplit(served.webhook_url).path.strip("/").lower()
    )


async def carry_out(telnyx: Telnyx, change: Change) -> str:
    """Make the change and read it again. Empty when it is as it should be, otherwise what went wrong, in words."""
    telnyx.begin()
    if await telnyx.change("change", change.path, change.body) is None:
        row = telnyx.refusals[-1]
        return f"Telnyx refused it: {row.status or 'no answer'} {row.code} {row.detail}"
    now = await telnyx.one("reading it again", change.path)
    if now is None:
        return "the change was accepted, but reading it again failed"
    wrong = [name for name, value in change.body.items() if now.get(name) != value]
    if wrong:
        return f"the change was accepted, but {', '.join(wrong)} reads as before"
    return ""


def undo_command(api_base: str, change: Change) -> str:
    """A line for the shell that sets everything back. The key stays out of it."""
    body = shlex.quote(json.dumps(change.before, ensure_ascii=False))
    return (
        f'curl -X PATCH {shlex.quote(api_base + change.path)} -H "Authorization: Bearer $TELNYX_API_KEY" '
        f"-H 'Content-Type: application/json' -d {body}"
    )


def _shown(value: object) -> str:
    return "nothing" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)
