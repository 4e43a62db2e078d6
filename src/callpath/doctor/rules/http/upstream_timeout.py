"""HTTP005: a proxy waited for the application in vain."""

from callpath.doctor.answers import any_variant_works, edge_refusal, refused, show
from callpath.doctor.edges import failed_upgrades, process_lines, said, show_row, timed_out
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import answer, upgrade
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def http_upstream_timeout(facts: Facts) -> Finding | None:
    row = edge_refusal(facts, "timeout")
    if row is not None:
        return Finding(f"{row.edge}: {row.summary}", (show(facts[UpgradeFacts].carrier),), fix=row.fix)
    carrier = refused(facts, 504, 408)
    if carrier is None or any_variant_works(facts):
        return None
    if carrier.status == 408 and author(carrier).kind not in {"proxy", "edge"}:
        return None
    return Finding(f"a proxy gave up on the application after {carrier.ms / 1000:.1f} s", (show(carrier),))


def edge_app_hangs(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 502, 503, 504)
    late = [row for row in rows if row.status == 504 or timed_out(row)]
    if not late:
        return None
    boots = process_lines(facts, "restart", "listening", near=late[0].at_unix_ms, within_ms=60_000)
    woken = [line for line in boots if line.at_unix_ms is not None and line.at_unix_ms >= late[0].at_unix_ms - 1000]
    if woken:
        return Finding(
            "the edge waited for the application in vain, and the application was started at that very time",
            (*(show_row(row) for row in late[:3]), *(said(line) for line in woken[:2])),
            kind="open",
            candidates=("edge-cold-start", "crash-loop-or-oom", "deploy-kills-streams"),
            question="Was it asleep, restarted or deployed? The platform's list of deployments says.",
        )
    return Finding("the edge waited for the application in vain", tuple(show_row(row) for row in late[:3]))


CAUSE = Cause(
    code="HTTP005",
    slug="proxy-upstream-timeout-504",
    title="The application does not answer the proxy in time",
    owner="you",
    why="The application (or a firewall before it) takes the connection and says nothing: a blocked loop, a deadlock, "
    "a handler that never accepts, another protocol on the port.",
    fix="Look at what the application does with this request (py-spy dump --pid PID); answer the upgrade first and "
    "work later.",
    signs=(
        Sign(
            "url",
            http_upstream_timeout,
            named={"nginx waited": upgrade(answer(504, "<center>nginx</center>", Server="nginx"))},
            quiet={"a 502 is no timeout": upgrade(answer(502))},
        ),
        Sign(
            "edge",
            edge_app_hangs,
            code="EDGE005",
            title="The application did not answer the edge in time",
            why="The edge took the request and waited in vain: the process hangs, is overloaded, or was still "
            "starting (a platform that puts it to sleep).",
            fix="Keep one instance awake, and nothing that blocks on the way to the answer: accept the socket first, "
            "work later.",
            named={
                "dial timeout": seen_at_edge(row("GET", 502, errors=("connection dial timeout",))),
                "504": seen_at_edge(row("GET", 504)),
            },
            quiet={"refused": seen_at_edge(row("GET", 502, errors=("connection refused",)))},
        ),
    ),
)
