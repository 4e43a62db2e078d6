"""CALL091: gunicorn killed the worker that carried the call."""

from callpath.doctor.calls import every, until_unix_ms
from callpath.doctor.edges import said
from callpath.doctor.facts import CallFacts, FactMissing, Facts, LogFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, hung_up
from callpath.doctor.rules.sample_log import told_call
from callpath.timeline import SocketReceived, StreamStarted


def log_worker_timeout(facts: Facts) -> Finding | None:
    known, log = facts[CallFacts], facts.get(LogFacts)
    if log is None:
        raise FactMissing(LogFacts)
    came_at = next((entry.at_unix_ms for entry in every(known, SocketReceived, StreamStarted)), None)
    if came_at is None:
        return None
    killed = [
        line
        for line in log.process
        if line.topic == "worker timeout"
        and line.at_unix_ms is not None
        and came_at < line.at_unix_ms < until_unix_ms(known)
    ]
    if not killed:
        return None
    age_s = ((killed[0].at_unix_ms or 0) - came_at) / 1000
    return Finding(
        f"{age_s:.1f} s after the socket opened its worker was killed for not answering gunicorn",
        tuple(said(line) for line in killed[:2]),
    )


CAUSE = Cause.of(
    "call",
    log_worker_timeout,
    code="CALL091",
    slug="worker-timeout",
    title="gunicorn kills the worker that carries the call (WORKER TIMEOUT)",
    owner="you",
    why="gunicorn's default sync worker serves one request at a time and must be back within --timeout (30 s). A "
    "media WebSocket is one request that lasts as long as the call, so the worker is killed in mid-call.",
    fix="Run an asynchronous worker: gunicorn -k uvicorn.workers.UvicornWorker main:app (ASGI), or gunicorn -k gevent "
    "/ --worker-class gthread --threads 100 --timeout 0 (Flask with flask-sock).",
    named={
        "30 s into the stream": told_call(
            BOTH_WAYS, (45_000, hung_up()), process=((31_000, "worker timeout", "WORKER TIMEOUT (pid:9)"),)
        )
    },
    quiet={
        "after the call": told_call(
            BOTH_WAYS, (20_000, hung_up()), process=((31_000, "worker timeout", "WORKER TIMEOUT (pid:9)"),)
        )
    },
)
