"""What every call of a process needs, put together once by `server/app.py` and handed down."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from callpath.api.app import App
from callpath.api.files import Files
from callpath.audio.codec import ByteOrder
from callpath.call.plan import StreamPlan
from callpath.call.policies import CallPolicy
from callpath.clock import Clock
from callpath.control import Control
from callpath.server.leases import Leases
from callpath.server.limits import Limits
from callpath.server.metrics import Metrics
from callpath.server.pacer import Pacer
from callpath.server.prober import StreamProber
from callpath.server.read_coalescer import ReadCoalescer
from callpath.server.tasks import Tasks
from callpath.server.tokens import CallTokens
from callpath.server.uploads import Uploads
from callpath.store.port import CallLog

if TYPE_CHECKING:
    from callpath.server.traces import Traces  # OpenTelemetry is an extra


@dataclass(frozen=True, slots=True)
class DialsAs:
    """What a dial says where the application does not: the id of the Call Control application, and the number that is
    shown. And what may be dialled: the allow-list, the caps on calls (0: none), and how long each lasts (0: Telnyx's 4
    hours)."""

    connection_id: str = ""
    from_: str = ""
    allowed: tuple[str, ...] = ()
    calls_max: int = 0
    per_minute: int = 0
    per_day: int = 0
    seconds_max: int = 0


@dataclass(slots=True, kw_only=True)
class Context:
    """Everything but the calls themselves. Made inside a running event loop; nothing is assigned to it afterwards."""

    app: App
    log: CallLog
    control: Control
    plan: StreamPlan
    clock: Clock
    metrics: Metrics = field(default_factory=Metrics)
    tasks: Tasks = field(default_factory=Tasks)
    files: Files = field(default_factory=Files.in_threads)
    tokens: CallTokens | None = None
    policy: CallPolicy = field(default_factory=CallPolicy)
    node: str | None = None
    """This process's name among the nodes of one log; None: a random one."""

    data_dir: Path = Path()
    byte_order: ByteOrder | Literal["detect"] = "detect"
    record: bool = False
    """Record every call."""

    dials_as: DialsAs = DialsAs()
    calls_max: int = 0
    """Maximum calls at once; 0: no maximum."""

    loop_lag_ms_max: float = 0.0
    """How late the event loop may be before new calls are refused; 0: however late."""

    prober: StreamProber | None = None
    """Probes the URL of a stream that did not come."""

    uploads: Uploads | None = None
    """Takes recordings to where they are kept; None: they stay in the data directory."""

    traces: Traces | None = None
    """Makes a trace of each call that is over."""

    log_entries: bool = True
    """Whether each entry of a timeline is a line of the log, too."""

    recovers: bool = True
    """Whether calls and events that this process missed are recovered from the log and from Telnyx's list of events."""

    pacer: Pacer = field(init=False)
    coalescer: ReadCoalescer = field(init=False)
    limits: Limits = field(init=False)
    leases: Leases = field(init=False)

    def __post_init__(self) -> None:
        self.pacer = Pacer(self.clock)
        self.coalescer = ReadCoalescer(self.clock)
        self.limits = Limits(log=self.log, clock=self.clock, metrics=self.metrics)
        self.leases = Leases(self.log, self.clock, self.node)
