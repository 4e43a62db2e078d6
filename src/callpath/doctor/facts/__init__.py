"""What was seen, raw and unjudged: by the live probes, in a call's timeline, by Telnyx, by the platform. Times are in ms;
header names keep their spelling and order.

Rules read facts by type: `facts[TlsFacts]` raises FactMissing where that probe never ran, and the engine then says
"not checked". Nothing here knows what is right or wrong.

control.py  What controls showed, and what the doctor itself sent.
base.py     All facts of one examination, by type.
url.py      The stream URL, part by part.
dns.py      What resolvers said.
tcp.py      Which addresses took a connection.
tls.py      Handshakes and certificates.
upgrade.py  Answers to the upgrade, in several shapes and tries.
ending.py   How a WebSocket ended.
media.py    An open stream: what came, what was sent, how it ended.
machine.py  The doctor's own machine.
call.py     A past call, and what the server knows beside it.
logs.py     Lines of logs that belong to a call.
edge.py     What the platform's edge logged.
platform.py What the host says of the service.
files.py    Files that tell a platform what to run.
account.py  What Telnyx says of the account and of a call.
"""

from __future__ import annotations

from callpath.doctor.facts.account import AccountFacts, ApiRefusal, ChosenBy, TelnyxCallFacts
from callpath.doctor.facts.base import FactMissing, Facts
from callpath.doctor.facts.call import CallFacts, RefusalFacts, ServedFacts, WayFacts
from callpath.doctor.facts.control import ControlFacts, ProxyFacts, TrafficFacts
from callpath.doctor.facts.dns import DnsFacts, DnsOutcome, DnsQuery
from callpath.doctor.facts.edge import EdgeFacts, EdgeRow
from callpath.doctor.facts.ending import Ending
from callpath.doctor.facts.files import DeployFacts, DeployPlan, StartCommand
from callpath.doctor.facts.logs import LogFacts, LogLine, ToldCall, ToldError, ToldFacts, ToldLine
from callpath.doctor.facts.machine import MachineFacts
from callpath.doctor.facts.media import Arrival, Arrived, Echo, Hold, IdleFacts, MediaFacts
from callpath.doctor.facts.platform import ArchiveFacts, PlatformDomain, PlatformFacts
from callpath.doctor.facts.tcp import TcpAttempt, TcpFacts, TcpOutcome
from callpath.doctor.facts.tls import Certificate, TlsAttempt, TlsFacts, TlsOutcome
from callpath.doctor.facts.upgrade import Exchange, ExchangeOutcome, OtherSchemeFacts, RepeatFacts, Try, UpgradeFacts
from callpath.doctor.facts.url import HostClass, UrlFacts

__all__ = [
    "AccountFacts",
    "ApiRefusal",
    "ArchiveFacts",
    "Arrival",
    "Arrived",
    "CallFacts",
    "Certificate",
    "ChosenBy",
    "ControlFacts",
    "DeployFacts",
    "DeployPlan",
    "DnsFacts",
    "DnsOutcome",
    "DnsQuery",
    "Echo",
    "EdgeFacts",
    "EdgeRow",
    "Ending",
    "Exchange",
    "ExchangeOutcome",
    "FactMissing",
    "Facts",
    "Hold",
    "HostClass",
    "IdleFacts",
    "LogFacts",
    "LogLine",
    "MachineFacts",
    "MediaFacts",
    "OtherSchemeFacts",
    "PlatformDomain",
    "PlatformFacts",
    "ProxyFacts",
    "RefusalFacts",
    "RepeatFacts",
    "ServedFacts",
    "StartCommand",
    "TcpAttempt",
    "TcpFacts",
    "TcpOutcome",
    "TelnyxCallFacts",
    "TlsAttempt",
    "TlsFacts",
    "TlsOutcome",
    "ToldCall",
    "ToldError",
    "ToldFacts",
    "ToldLine",
    "TrafficFacts",
    "Try",
    "UpgradeFacts",
    "UrlFacts",
    "WayFacts",
]
