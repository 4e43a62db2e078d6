"""Stopping without cutting a call: the first signal lets calls finish, the second stops at once.

uvicorn closes every socket 100 ms after SIGTERM, and then dies of the signal it caught; both are changed here.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping

import structlog
import uvicorn

from callpath.clock import Clock
from callpath.private_api import Server
from callpath.server.calls import Calls
from callpath.server.leases import OFFER_MS
from callpath.server.workers import READY

GRACE_S = 5
"""How long requests and the storing of timelines may take after the drain."""

NAMED_MAX = 20
"""Maximum number of cut calls that the log names."""

OFFER_GRACE_MS = OFFER_MS + 500
"""How long to wait for a call that was offered to other nodes: then one has claimed it, or it was rejected here."""

logger = structlog.get_logger("callpath")

STOPS: tuple[tuple[str, str, int, str], ...] = (
    ("RAILWAY_ENVIRONMENT_ID", "Railway", 0, "Set the variable RAILWAY_DEPLOYMENT_DRAINING_SECONDS={}"),
    ("FLY_APP_NAME", "Fly.io", 5, "Set kill_timeout = {} in fly.toml (300 is the most)"),
    ("K_SERVICE", "Cloud Run", 10, "It cannot be set there"),
    ("RENDER", "Render", 30, "Set the service's shutdown delay to {} (300 is the most)"),
    ("DYNO", "Heroku", 30, "It cannot be set there"),
    ("KUBERNETES_SERVICE_HOST", "Kubernetes", 30, "Set the pod's terminationGracePeriodSeconds to {}"),
)
"""The variable that identifies a platform, its name, and the seconds between SIGTERM and SIGKILL by default.

Sources, 2026-11: docs.railway.com/deployments/reference, fly.io/docs/reference/configuration, cloud.google.com/run/docs,
render.com/docs, devcenter.heroku.com, kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle.
"""

RAILWAY_DRAINING = "RAILWAY_DEPLOYMENT_DRAINING_SECONDS"


def stop_warning(environment: Mapping[str, str], drain_s: int) -> str | None:
    """A warning for the log if the platform kills the process before its calls have finished."""
    for name, platform, default_s, remedy in STOPS:
        if not environment.get(name):
            continue
        stop_s = default_s
        if platform == "Railway":
            text = environment.get(RAILWAY_DRAINING, "")
            stop_s = int(text) if text.isascii() and text.isdigit() else default_s
        if stop_s >= drain_s + GRACE_S or not drain_s:
            return None
        known = "" if platform == "Railway" else ", unless told otherwise,"
        return (
            f"{platform} kills{known} {stop_s} s after the signal to stop, and calls are given {drain_s} s to finish "
            f"(CALLPATH_DRAIN_SECONDS): a deploy cuts calls. {remedy.format(drain_s + GRACE_S)}"
        )
    return None


class DrainingServer(Server):
    """uvicorn that drains. `calls` gives them once they are there; `exit_code` is known when `run` has returned.

    `orders` leads to the parent of several workers (`server.workers`): it counts the signals then, and one that comes here
    by itself only drains.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        calls: Callable[[], Calls | None],
        *,
        clock: Clock,
        drain_s: float,
        orders: socket.socket | None = None,
    ) -> None:
        super().__init__(config)
        self._orders = orders
        if orders is not None:
            orders.setblocking(False)
        self.exit_code = 0
        self._calls = calls
        self._clock = clock
        self._drain_ms = 1000.0 * drain_s
        self._asked = False
        self._ordered = 0
        self._until_ms: float | None = None
        self._idle_since_ms: float | None = None

    def signalled(self, number: int) -> None:
        if self._orders is not None:
            self._asked = True
        else:
            self._stop(number)

    def _stop(self, number: int) -> None:
        if not self._asked:
            self._asked = True
            return
        self.stop(at_once=self.is_stopping and self.exit_code != 0)
        self.exit_code = 128 + number

    def now_listening(self) -> None:
        if self._orders is not None:
            with contextlib.suppress(OSError):  # the parent is gone: the first tick sees it
                self._orders.send(READY)

    def _follow_orders(self, orders: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            given = orders.recv(16)
            for number in given:
                self._ordered += 1
                if self._ordered == 1:
                    self._asked = True
                else:
                    self._stop(number)
            if not given:
                logger.error("The process above is gone: this worker stops, too", event_name="worker.alone")
                self._orders = None
                self._asked = True

    def ticked(self) -> None:
        """Ten times a second: whether to stop."""
        if self._orders is not None:
            self._follow_orders(self._orders)
        calls = self._calls()
        if calls is not None and not calls.is_running and not self.is_stopping:
            # Left to itself, uvicorn would go on answering, /healthz too, for ever: nobody would start it anew.
            logger.critical("Calls cannot be served any more: the server stops", event_name="server.failed")
            self.exit_code = 1
            self.stop()
        if self._asked and not self.is_stopping and self._has_drained():
            self.stop()

    def _has_drained(self) -> bool:
        calls = self._calls()
        now_ms = self._clock.now_ms()
        if calls is None:
            return True
        busy = calls.busy()
        uploads = calls.context.uploads.under_way if calls.context.uploads is not None else 0
        if self._until_ms is None:
            self._until_ms = now_ms + self._drain_ms
            calls.capacity.draining = True
            logger.info(
                f"Stopping: {len(busy)} calls may go on for {self._drain_ms / 1000:.0f} s, new ones are rejected",
                event_name="server.draining",
                calls=len(busy),
            )
        if not busy and not uploads and not calls.upgrades:
            if self._idle_since_ms is None:
                self._idle_since_ms = now_ms
            # While new calls come, some are always left to the other nodes; only for those of this moment it waits.
            return not calls.offered() or now_ms >= self._idle_since_ms + OFFER_GRACE_MS
        if now_ms >= self._until_ms:
            if uploads:
                waiting = (
                    f"{uploads} recordings are not uploaded: the next start will, if this disk is still there then"
                )
                logger.warning(waiting, event_name="server.not_uploaded")
            if busy:
                cut = f"{len(busy)} calls are cut: the time to finish is over"
                logger.warning(cut, event_name="server.cut", calls=busy[:NAMED_MAX])
            return True
        return False
