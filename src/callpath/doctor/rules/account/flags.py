"""Settings of the account that one field gives away: one cause a field."""

from decimal import Decimal, InvalidOperation

from callpath.doctor.accounts import known_account, masked, named, the_application, the_numbers, the_profile, the_voices
from callpath.doctor.facts import AccountFacts, FactMissing, Facts, ServedFacts
from callpath.doctor.rule import Cause, Finding, Kind
from callpath.doctor.rules.sample_account import OTHER, account, app, number, profile, voice
from callpath.doctor.urls import same_url


def of_credit(facts: Facts) -> Finding | None:
    balance = known_account(facts).balance
    try:
        left = Decimal(str((balance or {})["available_credit"]))
    except (KeyError, InvalidOperation):
        raise FactMissing(AccountFacts) from None
    if left > 0:
        return None
    currency = (balance or {}).get("currency", "")
    limit = (balance or {}).get("credit_limit", "?")
    return Finding(
        f"the available credit is {left} {currency}: Telnyx makes and takes no calls",
        (f"balance {(balance or {}).get('balance', '?')}, credit limit {limit}, available {left} {currency}",),
    )


def credit(text: str) -> Facts:
    return account(balance={"balance": text, "available_credit": text, "currency": "USD"})


_STATUSES = {
    "purchase-pending": "its purchase is not finished",
    "purchase-failed": "its purchase failed",
    "port-pending": "it is still being ported in: until that day the old carrier gets its calls",
    "port-failed": "its porting failed",
    "ported-out": "it has been ported to another carrier",
    "port-out-pending": "it is being ported to another carrier",
    "deleted": "it has been deleted",
    "emergency-only": "it may only be used for emergency calls",
    "requirement-info-pending": "regulatory documents are pending",
    "requirement-info-under-review": "Telnyx is reviewing its regulatory documents",
    "requirement-info-exception": "Telnyx rejected its regulatory documents",
    "provision-pending": "Telnyx has not set it up yet",
}


def number_inactive(facts: Facts) -> Finding | None:
    wrong = [row for row in the_numbers(facts) if row.get("status") not in ("active", None)]
    if not wrong:
        return None
    status = str(wrong[0]["status"])
    return Finding(
        f"the number {masked(wrong[0].get('phone_number'))} is {status}: {_STATUSES.get(status, 'calls do not come in')}",
        tuple(f"{masked(row.get('phone_number'))}: status {row['status']}" for row in wrong),
    )


def status(text: str) -> Facts:
    return account(row=number(status=text))


RETRY_S_MIN, RETRY_S_MAX = 2, 10
"""Outside of these an unusual delay before a webhook is sent again."""


def webhook_timeout(facts: Facts) -> Finding | None:
    application = the_application(facts)
    seconds = application.webhook_timeout_secs
    if seconds is None or RETRY_S_MIN <= seconds <= RETRY_S_MAX:
        return None
    effect = (
        "an answer that takes a moment counts as lost, and the event comes twice"
        if seconds < RETRY_S_MIN
        else "a webhook that is lost comes again that much later, while the caller waits"
    )
    return Finding(
        f"the webhook timeout of the application {named(application)} is {seconds} s: {effect}",
        (
            f"webhook_timeout_secs: {seconds}",
            "Telnyx's API calls it the timeout, its portal the delay before a retry; unset, a retry comes after 2 s",
        ),
        kind="note",
    )


def timeout(seconds: int | None) -> Facts:
    return account(app(webhook_timeout_secs=seconds))


FIRST_COMMAND_S_MIN = 5


def first_command(facts: Facts) -> Finding | None:
    application = the_application(facts)
    seconds = application.first_command_timeout_secs
    if not application.first_command_timeout or seconds is None or seconds >= FIRST_COMMAND_S_MIN:
        return None
    return Finding(
        f"the application {named(application)} hangs up a call whose first command has not come after {seconds} s",
        (f"first_command_timeout: true, first_command_timeout_secs: {seconds}",),
        kind="note",
    )


def within(seconds: int, *, on: bool = True) -> Facts:
    return account(app(first_command_timeout=on, first_command_timeout_secs=seconds))


def channel_limit(facts: Facts) -> Finding | None:
    application = the_application(facts)
    inbound = application.inbound.channel_limit if application.inbound is not None else None
    outbound = application.outbound.channel_limit if application.outbound is not None else None
    if inbound == 0:
        return Finding(
            f"the application {named(application)} may hold no incoming call: its channel limit is 0",
            ("inbound.channel_limit: 0",),
        )
    if outbound == 0:
        kind: Kind = "fault" if known_account(facts).destination else "note"
        return Finding(
            f"the application {named(application)} may hold no outgoing call: its channel limit is 0",
            ("outbound.channel_limit: 0",),
            kind=kind,
        )
    return None


def profile_disabled(facts: Facts) -> Finding | None:
    row = the_profile(facts)
    if row.get("enabled") is False:
        what = "is switched off"
    elif row.get("concurrent_call_limit") == 0:
        what = "allows no call: concurrent_call_limit is 0"
    else:
        return None
    return Finding(
        f"the outbound voice profile {row.get('name', '')!r} {what}",
        kind="fault" if known_account(facts).destination else "note",
    )


def forwarding(facts: Facts) -> Finding | None:
    for row in the_voices(facts):
        forwarding = row.get("call_forwarding")
        if not isinstance(forwarding, dict) or not forwarding.get("call_forwarding_enabled"):
            continue
        target = forwarding.get("forwards_to")
        if not target:
            continue  # switched on by default, and without an effect until it forwards somewhere
        who = masked(row.get("phone_number"))
        if forwarding.get("forwarding_type") == "on-failure":
            return Finding(f"where {who} cannot be reached, Telnyx forwards the call to {masked(target)}", kind="note")
        return Finding(
            f"the number {who} forwards every call to {masked(target)}: none comes here",
            (f"call_forwarding: enabled, forwarding_type {forwarding.get('forwarding_type') or 'not given'}",),
        )
    return None


def forwards(kind: str, to: str = "+15555550144", *, on: bool = True) -> Facts:
    forwarding = {"call_forwarding_enabled": on, "forwards_to": to, "forwarding_type": kind}
    return account(voices=(voice(call_forwarding=forwarding),))


def of_screening(facts: Facts) -> Finding | None:
    rows = [row for row in the_voices(facts) if row.get("inbound_call_screening") == "reject_calls"]
    if not rows:
        return None
    return Finding(
        f"Telnyx rejects callers of {masked(rows[0].get('phone_number'))} whom it takes for spam, before any webhook",
        ("inbound_call_screening: reject_calls",),
        kind="note",
    )


def screening(kind: str) -> Facts:
    return account(voices=(voice(inbound_call_screening=kind),))


def shared_url(facts: Facts) -> Finding | None:
    asked, served = known_account(facts), facts[ServedFacts]
    if not asked.applications_listed:
        raise FactMissing(AccountFacts)
    ours = [row for row in asked.applications if same_url(row.webhook_event_url or "", served.webhook_url)]
    if len(ours) < 2:
        return None
    return Finding(
        f"{len(ours)} applications send their webhooks to this server: {', '.join(map(named, ours))}", kind="note"
    )


CAUSES = (
    Cause.of(
        "account",
        of_credit,
        code="TELNYX003",
        slug="account-no-credit",
        title="The Telnyx account has no credit left",
        owner="you",
        why="Telnyx blocks calls of an account that cannot pay for them; nothing in the server shows it.",
        fix="Add funds in the Telnyx portal (Billing), and switch on auto-recharge; callpath doctor account shows the "
        "balance.",
        named={"nothing left": credit("0.00"), "in debt": credit("-3.20")},
        quiet={"some left": credit("0.05")},
        unchecked={"the balance may not be asked": account(balance=None)},
    ),
    Cause.of(
        "account",
        number_inactive,
        code="TELNYX005",
        slug="number-not-active",
        title="The number is not active",
        owner="you",
        why="Only an active number takes calls.",
        fix="See Numbers in the Telnyx portal for what is missing: regulatory documents, payment, or the end of "
        "porting.",
        named={
            "porting is not finished": status("port-pending"),
            "regulatory documents are missing": status("requirement-info-pending"),
        },
        quiet={"active": account()},
    ),
    Cause.of(
        "account",
        webhook_timeout,
        code="TELNYX013",
        slug="webhook-timeout-odd",
        title="Unusual webhook timeout",
        owner="you",
        why="Callers wait while Telnyx waits.",
        fix="Leave the webhook timeout (in the portal: custom webhook retry delay) empty.",
        named={"none at all": timeout(0), "half a minute": timeout(30)},
        quiet={"five seconds": timeout(5), "unset": timeout(None)},
    ),
    Cause.of(
        "account",
        first_command,
        code="TELNYX014",
        slug="first-command-timeout-short",
        title="Telnyx hangs up when the first command is late",
        owner="you",
        why="A webhook that has to be sent a second time comes after two seconds or more; a host that wakes up takes "
        "longer.",
        fix="Raise first_command_timeout_secs to 30, or switch first_command_timeout off.",
        named={"two seconds": within(2)},
        quiet={"thirty": within(30), "switched off": within(2, on=False)},
    ),
    Cause.of(
        "account",
        channel_limit,
        code="TELNYX015",
        slug="channel-limit-zero",
        title="Channel limit is 0",
        owner="you",
        why="Telnyx turns away every call above the limit, hence every one.",
        fix="Raise the channel limit in the application's settings (Inbound, Outbound), or leave it empty.",
        named={
            "none may come in": account(app(inbound={"channel_limit": 0})),
            "none may go out": account(app(outbound={"channel_limit": 0})),
        },
        quiet={"ten": account(), "no limit": account(app(inbound={}, outbound={}))},
    ),
    Cause.of(
        "account",
        profile_disabled,
        code="TELNYX017",
        slug="outbound-profile-disabled",
        title="The outbound voice profile is switched off",
        owner="you",
        why="No call goes out by it. Calls that come in are not concerned.",
        fix="Switch it on in the portal: Voice, Outbound Voice Profiles.",
        named={
            "switched off, and a number is to be dialled": account(
                outbound_profile=profile(enabled=False), destination="+15555550123"
            ),
            "no call at once": account(outbound_profile=profile(concurrent_call_limit=0)),
        },
        quiet={"switched on": account()},
        unchecked={"it may not be asked": account(outbound_profile=None)},
    ),
    Cause.of(
        "account",
        forwarding,
        code="TELNYX019",
        slug="number-forwarded",
        title="The number forwards its calls",
        owner="you",
        why="A number that forwards always hands each call to another one; its application hears of none.",
        fix="Switch call forwarding off in the portal: Numbers, the number's voice settings.",
        named={"always": forwards("always"), "where it cannot be reached": forwards("on-failure")},
        quiet={
            "switched on, to nowhere: the default": forwards("always", ""),
            "switched off": forwards("always", on=False),
        },
        unchecked={"its voice settings may not be asked": account(voices=())},
    ),
    Cause.of(
        "account",
        of_screening,
        code="TELNYX020",
        slug="number-screens-callers",
        title="The number turns some callers away",
        owner="you",
        why="A call that is rejected there leaves no trace here: for that caller the number seems dead.",
        fix="Set inbound call screening to flag_calls or disabled in the number's voice settings, if such callers are "
        "wanted.",
        named={"rejects": screening("reject_calls")},
        quiet={"only flags": screening("flag_calls"), "off": account()},
        unchecked={"its voice settings may not be asked": account(voices=())},
    ),
    Cause.of(
        "account",
        shared_url,
        code="TELNYX028",
        slug="webhook-url-shared",
        title="Several applications send their webhooks here",
        owner="you",
        why="That is allowed. Where one of them is set in another way (version, limits, profile), only its calls "
        "behave oddly.",
        fix="Keep one application for each server, unless you mean it so.",
        named={"two": account(applications=(app(), app(id=OTHER, application_name="old")))},
        quiet={"one": account()},
        unchecked={"they may not be listed": account(applications_listed=False)},
    ),
)
