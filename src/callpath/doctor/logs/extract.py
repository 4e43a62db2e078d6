"""Pass 4, extract: what happened, out of what was said.

`exchange_of` reads an HTTP exchange with Telnyx's API in any client's wording, `raised_of` an exception with its type,
its message and the program's own frames, `complaint_of` the program's own sentence about what is wrong and whether it
closes something because of it, `event_in` the name of an event in a field. Pure functions over one text each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

# --- exchanges with Telnyx's API ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exchange:
    """One command to Telnyx and what came of it. `command` "" where the text does not name it; `status` None where it is
    not told; `unanswered`: no answer came (a timeout, a name that does not resolve, a refused connection)."""

    command: str
    status: int | None = None
    code: str = ""
    detail: str = ""
    pointer: str = ""
    d_code: str = ""
    unanswered: bool = False

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        return not self.accepted


_ACTION = re.compile(r"/actions/([a-z_]{3,40})|\bcalls?\.(?:actions\.)?([a-z_]{4,30})\(", re.IGNORECASE)
_DIALS = re.compile(
    r"(?:POST\W{1,4}(?:https?://api\.telnyx\.com)?/?v2/calls(?![/\w])|api\.telnyx\.com/v2/calls(?![/\w])|\bcalls\.(?:create|dial)\b"
    r"|\bdial(?:ing|ed|led|ling)?\b|\bplac(?:e|ing) (?:an? |the )?(?:outbound |outgoing )?call|\bcreat(?:e|ing) (?:an? "
    r"|the )?"
    r"(?:outbound |outgoing )?call\b|\boutbound call\b|\boutgoing call\b|\boriginat\w+)",
    re.IGNORECASE,
)
_STREAMS = re.compile(r"stream(?:ing)?[ _.-]?start\w*|start\w*[ _.-]?(?:\w+[ _.-]){0,3}stream", re.IGNORECASE)
_ANSWERS = re.compile(r"\banswer(?:ing|ed)?\b(?!ing machine| machine)|answer[ _]?call|/answer\b", re.IGNORECASE)
_HANGS_UP = re.compile(r"\bhang(?:ing)?[ _-]?up\b|\bhangup\b", re.IGNORECASE)
_TELNYX = re.compile(
    r"api\.telnyx\.com|\btelnyx(?:\b|_)|Telnyx[A-Z]\w*|/calls/v[23](?::|%3A)|/actions/[a-z_]+|\bstreaming_start\b",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"https?://(?!api\.telnyx\.com|localhost|127\.|10\.|\[::1)[\w.-]+|\b(?:openai|deepgram|eleven ?labs|anthropic|"
    r"cartesia|gemini|groq|"
    r"assemblyai|azure|redis|postgres|supabase|stripe|twilio|slack|webhook signature)\b",
    re.IGNORECASE,
)
_STATUS = re.compile(
    r"HTTP/[\d.]+[\"']? +(?P<a>[1-5]\d\d)\b|\bHTTP[ _]?(?:status|code|error)?[ :=]{0,3}(?P<b>[1-5]\d\d)\b"
    r"|\bstatus(?:[ _]?code)?[\"']?\s*[:=]?\s*[\"']?(?P<c>[1-5]\d\d)\b|\bError code: (?P<d>[1-5]\d\d)\b"
    r"|\b(?P<e>[45]\d\d) (?:Client|Server) Error\b|(?:Client|Server) error '(?P<f>[45]\d\d)\b"
    r"|(?:->|→|=>|returned|responded(?: with)?|replied(?: with)?|answered(?: with)?|got|response[:=]?|rejected(?: "
    r"with)?|refused(?: with)?|"
    r"failed(?: with)?|Error:|error|errored|API|with|success\w*|accepted|sent)[ :(\[]{1,3}(?P<g>[1-5]\d\d)\b(?![.:]\d|"
    r"ms| ?ms\b)"
    r"|\b(?P<h>[45]\d\d) (?:Unauthorized|Forbidden|Bad Request|Not Found|Unprocessable|Too Many|Conflict|Internal|Payment)"
    r"|/actions/[a-z_]+[\"']? \(?(?P<i>[1-5]\d\d)\b|/v2/calls[\"']? \(?(?P<j>[1-5]\d\d)\b|\b(?P<k>[45]\d\d) \{",
    re.IGNORECASE,
)
_CODE = re.compile(r"\bcode[\"']?\s*(?:[:=]|=>)+\s*[\"']?(\d{5,6})\b", re.IGNORECASE)
_BARE_CODE = re.compile(r"(?<![\w.:/-])(9\d{4}|100[01]\d|2000\d|10039)(?![\w.:/-])")
_DETAIL = re.compile(
    r"\bdetail[\"']?\s*(?:[:=]|=>)+\s*(?:\"((?:[^\"\\]|\\.){3,400})\"|'((?:[^'\\]|\\.|(?<=\w)'(?=\w)){3,400})'"
    r"|([^\"'\s][^\"'}\]\n]{2,400}))",
    re.IGNORECASE,
)
_TITLE = re.compile(r"\btitle[\"']?\s*(?:[:=]|=>)+\s*[\"']?([^\"'}\]\n]{3,120})", re.IGNORECASE)
_POINTER = re.compile(r"\bpointer[\"']?\s*(?:[:=]|=>)+\s*[\"']?/?([\w/]{2,60})", re.IGNORECASE)
_D_CODE = re.compile(r"\b(D\d{1,2}|PE\d|TV1|TM1|P05|P15|RG1|B3)\b(?=[\s.\"',}]|$)")
_BODY = re.compile(r"[\"']?errors[\"']?\s*(?:[:=]|=>)+\s*\[?\s*\{?\s*[\"']?(?:code|title|detail)", re.IGNORECASE)
NO_ANSWER = re.compile(
    r"Connect(?:ion)?Timeout|ReadTimeout|WriteTimeout|PoolTimeout|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|"
    r"EHOSTUNREACH|ENETUNREACH|getaddrinfo|name (?:or service|resolution)|no such host|nxdomain|ConnectError|"
    r"ConnectionError|"
    r"APIConnectionError|APITimeoutError|socket hang up|i/o timeout|deadline exceeded|context deadline|"
    r"UnknownHostException|"
    r"SocketTimeoutException|ConnectException|connection (?:refused|reset|aborted|timed out|error)|cURL error (?:6|7|"
    r"28|35|60)|"
    r"certificate verify failed|self[- ]signed certificate|fetch failed|network error|timed? ?out|Max retries exceeded|"
    r"invalid (?:header|character in header)|ERR_INVALID_CHAR|Could not resolve host|:timeout\b|:nxdomain|:econnrefused|"
    r"Operation timed out|dns error|tls handshake",
    re.IGNORECASE,
)
_SDK = re.compile(
    r"\b(?:telnyx[.\\]{1,2}(?:exception[.\\]{1,2})?\w+(?:Error|Exception)|Telnyx\w*(?:Error|Exception))\b",
    re.IGNORECASE,
)
_SDK_STATUS = {
    "authentication": 401, "permission": 403, "notfound": 404, "unprocessable": 422, "ratelimit": 429, "badrequest": 400,
    "invalidrequest": 422, "conflict": 409, "internalserver": 500, "apiconnection": 0, "timeout": 0,
}  # fmt: skip
_DENIED = re.compile(
    r"\bno (?:error|problem)|without error|error handl|errors?[=:] ?(?:0|none|null|\[\])", re.IGNORECASE
)
_PLAN = re.compile(r"\b(?:will|would|if|once|when|should|going to|about to|retry(?:ing)? in)\b", re.IGNORECASE)


def exchange_of(text: str) -> Exchange | None:
    """The exchange with Telnyx's API that the text tells of; None where it tells of none, or not how it ended."""
    telnyx = _TELNYX.search(text)
    body = _BODY.search(text)
    code = _CODE.search(text)
    if telnyx is None and (
        code is None or (body is None and _TITLE.search(text) is None and _DETAIL.search(text) is None)
    ):
        return None
    if telnyx is not None and "api.telnyx.com" not in text and "/actions/" not in text and body is None:
        other = _ELSEWHERE.search(text)
        if other is not None and _SDK.search(text) is None:
            return None
    sdk = _SDK.search(text)
    found = _STATUS.search(text)
    status = int(next(group for group in found.groups() if group)) if found is not None else None
    command = _command(text)
    if (
        code is None
        and (sdk is not None or (status or 0) >= 400 or "telnyx" in text.lower())
        and not _about_numbers(text)
    ):
        code = _BARE_CODE.search(text)
    lost = NO_ANSWER.search(text) if status is None and code is None and body is None else None
    if status is not None and status < 300:
        return (
            Exchange(command, status) if command and re.search(r"api\.telnyx\.com|/actions/|/v2/calls", text) else None
        )
    if status is not None and status < 400 and code is None:
        return None
    if status is None and code is None and body is None and lost is None and sdk is None:
        return None
    if lost is not None and not (command or sdk or "api.telnyx.com" in text):
        return None  # something timed out, and the carrier's name stands beside it
    if _DENIED.search(text) or (status is None and code is None and sdk is None and _PLAN.search(text)):
        return None
    detail = _first(_DETAIL, text) or _first(_TITLE, text)
    return Exchange(
        command=command,
        status=status,
        code=code[1] if code is not None else "",
        detail=_unescaped(detail) or text.partition("\n")[0].strip()[:300],
        pointer=_first(_POINTER, text),
        d_code=_first(_D_CODE, detail or text) if status in {None, 403} else "",
        unanswered=lost is not None,
    )


def _about_numbers(text: str) -> bool:
    """A number of five digits in a text about ports, sizes or frames is no error code."""
    return re.search(r"\bport\b|bytes|frames?\b|\bms\b|listening", text, re.IGNORECASE) is not None


def _command(text: str) -> str:
    action = _ACTION.search(text)
    if action is not None:
        name = (action[1] or action[2]).lower()
        if action[1] or name in {"answer", "hangup", "streaming_start", "start_streaming", "dial", "speak", "transfer"}:
            return {"start_streaming": "streaming_start"}.get(name, name)
    if _STREAMS.search(text):
        return "streaming_start"
    if _DIALS.search(text):
        return "dial"
    if _HANGS_UP.search(text):
        return "hangup"
    if _ANSWERS.search(text) and not re.search(r"not (?:been )?answered|answered yet|unanswered", text, re.IGNORECASE):
        return "answer"
    return ""


def sdk_status(text: str) -> int | None:
    """The HTTP status that an SDK's class of error stands for; None where the text names none. It is no status in the
    text: use it to choose a cause, never to print it."""
    found = _SDK.search(text)
    if found is None:
        return None
    name = found[0].lower()
    return next((status for word, status in _SDK_STATUS.items() if word in name and status), None)


def _first(expression: re.Pattern[str], text: str) -> str:
    found = expression.search(text)
    return next((group for group in found.groups() if group), "").strip() if found is not None else ""


def _unescaped(text: str) -> str:
    return re.sub(r"\\(['\"])", r"\1", text)


# --- exceptions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception as printed. `frames` are the program's own, the innermost last (`on_answered (main.py:88)`);
    `uncaught`: the text itself says that nothing caught it."""

    kind: str
    message: str
    frames: tuple[str, ...] = ()
    uncaught: bool = False

    @property
    def words(self) -> str:
        return f"{self.kind}: {self.message}" if self.kind and self.message else self.kind or self.message


_KIND = (
    r"(?:[A-Za-z_]\w*[.\\])*[A-Z]\w*"
    r"(?:Error|Exception|Exit|Interrupt|Timeout|Failure|Refused|NotFound|Closed\w*|Fault|Panic)"
)
_PYTHON = re.compile(rf"^\s*(?P<kind>{_KIND}|[a-z_]\w*(?:\.\w+)+)(?:: ?(?P<message>.*))?$", re.MULTILINE)
_SCRIPT = re.compile(
    r"(?:^|[\s:(=>])(?P<kind>[A-Z]\w*(?:Error|Exception))(?: \[[\w-]+\])?: (?P<message>[^\n]*)(?=\n\s*at\b)",
    re.MULTILINE,
)
_JAVA = re.compile(
    r"(?:^|\s)(?P<kind>(?:[a-z]\w*\.){1,8}[A-Z]\w*(?:Exception|Error|Throwable))(?:: (?P<message>[^\n]*))?(?=\n\s*at\b)",
    re.MULTILINE,
)
_GO = re.compile(r"\bpanic: (?P<message>[^\n]*)")
_ELIXIR = re.compile(r"\*\* \((?P<kind>[A-Z][\w.]+|EXIT[^)]*|[a-z_]+)\) (?P<message>[^\n]*)")
_PHP = re.compile(
    r"(?:PHP )?(?:Fatal|Parse|Recoverable fatal) error: +(?:Uncaught (?P<kind>[A-Z][\w\\]*): )?(?P<message>[^\n]*?)"
    r"(?: in (?P<file>/[^\s:]+)(?::| on line )(?P<line>\d+)|$)",
    re.MULTILINE,
)
_RUST = re.compile(
    r"thread '[^']*' (?:\(\d+\) )?panicked at (?:'(?P<message>[^'\n]*)', )?(?P<frame>[^\s,]+?:\d+)(?::\d+)?:?"
)
_RUBY = re.compile(
    r"^(?P<frame>[\w./-]+\.rb:\d+):in [`'](?P<name>[^']*)': (?P<message>[^\n]*) \((?P<kind>[A-Z][\w:]*)\)", re.M
)
_INLINE = re.compile(rf"(?:^|[\s:=\[(\"'])(?P<kind>{_KIND}): ?(?P<message>[^\n]{{1,300}})")

_PY_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>\S+)')
_AT_FRAME = re.compile(
    r"^\s*at (?:async )?(?:(?P<name>[\w.$<>\[\] ]+?) )?\(?(?P<file>(?:file://)?[^\s():]+):(?P<line>\d+)(?::\d+)?\)?",
    re.MULTILINE,
)
_JAVA_FRAME = re.compile(r"^\s*at (?P<name>[\w.$<>/]+)\((?P<file>\w+\.(?:java|kt|scala)):(?P<line>\d+)\)", re.MULTILINE)
_NET_FRAME = re.compile(
    r"^\s*at (?P<name>[\w.<>`\[\],+]+)\([^)\n]*\) in (?P<file>[^\n:]+):line (?P<line>\d+)", re.MULTILINE
)
_GO_FRAME = re.compile(r"^(?P<name>[\w./()*-]+)\([^\n]*\)\n\s+(?P<file>/\S+):(?P<line>\d+)", re.MULTILINE)
_ELIXIR_FRAME = re.compile(r"\((?P<app>[\w]+) [\d.]+\) (?P<file>\S+):(?P<line>\d+): (?P<name>\S+)")
_PHP_FRAME = re.compile(r"#\d+ (?P<file>/[^(\n]+)\((?P<line>\d+)\): (?P<name>[^\n(]+)")
_FOREIGN = re.compile(
    r"site-packages|dist-packages|node_modules|node:|/lib/python\d|<frozen|<anonymous>|/go/src/|/usr/local/go|/pkg/mod/|"
    r"\bjava\.|\bjdk\.|\bsun\.|org\.springframework|io\.netty|reactor\.|/vendor/|/gems/|/rustc/|System\.|Microsoft\.|internal/"
)
_ELIXIR_LIBS = {
    "elixir",
    "stdlib",
    "kernel",
    "phoenix",
    "plug",
    "cowboy",
    "bandit",
    "plug_cowboy",
    "thousand_island",
    "req",
    "finch",
}
_UNCAUGHT = re.compile(
    r"uncaught|unhandled|exception in asgi|traceback \(most recent|\bpanic\b|fatal error|terminating|node\.js v\d|"
    r"exception in thread|exception in worker|panicked at|task exception was never|crashed|exception on /|\bthrow err",
    re.IGNORECASE,
)


def raised_of(text: str) -> Raised | None:
    """The exception that the text prints; the last one of a chain. None where it prints none."""
    uncaught = _UNCAUGHT.search(text) is not None
    if (found := _PHP.search(text)) is not None:
        place = (f"{_file(found['file'])}:{found['line']}",) if found["file"] else ()
        return Raised(found["kind"] or "Fatal error", found["message"].strip()[:300], place or _frames(text), True)
    if (found := _GO.search(text)) is not None:
        return Raised("panic", found["message"].strip()[:300], _frames(text), True)
    if (found := _RUST.search(text)) is not None:
        message = found["message"] or text[found.end() :].strip().partition("\n")[0]
        return Raised("panic", message[:300], (_file(found["frame"]),), True)
    if (found := _ELIXIR.search(text)) is not None:
        return Raised(found["kind"], found["message"].strip()[:300], _frames(text), uncaught or "terminating" in text)
    if (found := _RUBY.search(text)) is not None:
        return Raised(found["kind"], found["message"][:300], (f"{found['name']} ({_file(found['frame'])})",), uncaught)
    if "Traceback (most recent" in text or 'File "' in text:
        lines = [one for one in _PYTHON.finditer(text) if not one[0].startswith((" ", "\t"))]
        if lines:
            last = lines[-1]
            return Raised(last["kind"], (last["message"] or "").strip()[:300], _frames(text), uncaught)
    for expression in (_SCRIPT, _JAVA):
        several = list(expression.finditer(text))
        if several:
            cause = several[-1] if expression is _JAVA and "Caused by" in text else several[0]
            return Raised(cause["kind"], (cause["message"] or "").strip()[:300], _frames(text), uncaught)
    if (found := _INLINE.search(text)) is not None:
        return Raised(found["kind"], found["message"].strip().rstrip("\"'")[:300], _frames(text), uncaught)
    return None


def _frames(text: str) -> tuple[str, ...]:
    """The program's own frames, the innermost last."""
    found: list[str] = []
    for expression, inner_last in (
        (_PY_FRAME, True), (_JAVA_FRAME, False), (_NET_FRAME, False), (_AT_FRAME, False), (_GO_FRAME, False),
        (_ELIXIR_FRAME, False), (_PHP_FRAME, False),
    ):  # fmt: skip
        for one in expression.finditer(text):
            where = one[0]
            if _FOREIGN.search(where) or one.groupdict().get("app") in _ELIXIR_LIBS:
                continue
            name = (one["name"] or "").strip()
            place = f"{_file(one['file'])}:{one['line']}"
            found.append(f"{name} ({place})" if name and name != "<module>" else place)
        if found:
            return tuple(found[-3:] if inner_last else found[:3][::-1])
    return ()


def _file(path: str) -> str:
    return path.rpartition("/")[2]


# --- the program's own sentence ----------------------------------------------------------------------------------------

Because = Literal["", "auth", "lookup", "parameters", "busy", "limit", "ai", "raised"]


@dataclass(frozen=True, slots=True)
class Complaint:
    """The program says that something is wrong. `closes`: and that it ends a socket, a stream or a call for it.
    `because` is the kind of reason; `gone`: what it lacks came with the request at other times (a token, a parameter)."""

    closes: bool
    because: Because
    gone: bool = False


_BAD_LEVELS = {
    "warn",
    "warning",
    "error",
    "err",
    "fatal",
    "critical",
    "crit",
    "ftl",
    "wrn",
    "alert",
    "emergency",
    "severe",
}
BAD = re.compile(
    r"❌|🚨|✗|⛔|"
    r"\b(?:errors?|fail\w*|cannot|can't|could ?n[o']t|could[ _]not|unable|missing|invalid|un~?authori[sz]ed|denied|"
    r"not[ _]found|unknown|no[ _]such|refus\w*|reject\w*|forbidden|auth[ _]?fail\w*|bad token|expired|mismatch\w*|not "
    r"allowed|"
    r"not[ _]valid|does not exist|no (?:call|session|state|record|active|matching|token|ticket|agent|config\w*)\b|"
    r"unexpected|"
    r"aborting|exceeded)\b".replace("~", "[ _-]?"),
    re.IGNORECASE,
)
_BAD_WORDS = (
    "❌", "🚨", "✗", "⛔", "error", "fail", "can", "could", "unable", "missing", "invalid", "uthori", "denied", "not",
    "unknown", "no ", "no_", "refus", "reject", "forbidden", "auth", "bad token", "expired", "mismatch", "unexpected",
    "aborting", "exceeded",
)  # fmt: skip
"""One of these stands in every text that BAD finds something in."""

_FINE = re.compile(
    r"\bno errors?\b|\berrors?[\"']?[:=] ?(?:0|none|null|false|\[\])|\b0 errors?\b|without (?:any )?errors?|\bnot an "
    r"error\b|"
    r"error[_ ]?count[\"']?[:=] ?0|deprecat\w*|experimental|\bDEBUG\b",
    re.IGNORECASE,
)
CLOSES = re.compile(
    r"\b(?:clos(?:e|ing|ed)|reject(?:ing|ed)|refus(?:ing|ed)|dropp(?:ing|ed)|abort(?:ing|ed)|terminat(?:ing|ed|e)|disconnecting|"
    r"destroy(?:ing|ed)|kicking|bailing|giving up|ending|stopping|tearing down|denying|shutting)\b[^.\n]{0,60}"
    r"(?:\b(?:socket|connection|web ?socket|ws|stream|session|call|client|it|upgrade|before accept|handshake)\b|$)",
    re.IGNORECASE,
)
_AUTH = re.compile(
    r"un[ _-]?authori[sz]ed|auth\w*[ _-]?(?:fail\w*|error|required|denied|missing)|(?:invalid|bad|wrong|missing|no|"
    r"expired|unknown|has)[ _-]?"
    r"(?:\w+[ _-]){0,2}(?:token|ticket|secret|signature|credential\w*|api[ _-]?key)|(?:token|ticket|"
    r"secret)\W{0,3}(?:is )?(?:=|:)?\W{0,2}"
    r"(?:none|null|undefined|missing|invalid|expired|mismatch|not )|forbidden|access denied|not authenticated",
    re.IGNORECASE,
)
_LOOKUP = re.compile(
    r"(?:unknown|no such|no|not find|find no|missing|stale|expired)[ _-](?:(?:active|matching|known|pending|"
    r"registered)[ _-])?"
    r"(?:call|session|conversation|stream|room|bridge|state|context|record)s?\b(?:[ _-](?:state|session|record|context|"
    r"id|found|for|with|matching))?|"
    r"(?:call|session|conversation|state|context|bridge|record)s? (?:\S{1,90} )?(?:is |was )?(?:not (?:found|known|"
    r"registered|in)|unknown|does not exist|"
    r"missing|expired|gone)",
    re.IGNORECASE,
)
_PARAMETERS = re.compile(
    r"(?:missing|no|without|required|requires|lacks?|absent|empty|invalid)\b[^.\n]{0,40}\b(?:param\w*|query|argument\w*|call_?(?:sid|id|control_?id)|"
    r"tenant\w*|agent_?id|session_?id|stream_?(?:id|sid)|id in (?:the )?(?:url|path|query))\b|"
    r"\b(?:call_?sid|call_?id|tenant|agent_?id|session_?id|query)\W{1,4}(?:null|none|undefined|missing|\{\}|\"\"|'')",
    re.IGNORECASE,
)
_BUSY = re.compile(
    r"already (?:active|connected|in use|open|exists|has|running|streaming|in progress)|(?:too many|max(?:imum)?\w*) "
    r"(?:\w+ )?"
    r"(?:calls|sessions|connections|streams)|\bat capacity\b|\boverload\w*|\bbusy\b|limit (?:of \d+ )?(?:reached|"
    r"exceeded)|no (?:free|available) (?:worker|slot|agent)s?",
    re.IGNORECASE,
)
_GONE = re.compile(
    r"missing|\bno\b|none|null|undefined|without|absent|empty|has[_ ]?\w+\W{1,3}false|not (?:present|provided|given|set)",
    re.IGNORECASE,
)


def complaint_of(text: str, level: str = "") -> Complaint | None:
    """What is wrong in the program's own words; None where it says nothing of the kind."""
    text = text[:600]
    low = text.lower()
    bad = level.lower() in _BAD_LEVELS or (any(word in low for word in _BAD_WORDS) and BAD.search(text) is not None)
    if not bad and "because" not in low and "since" not in low and "due to" not in low:
        return None
    if not bad or _FINE.search(text):
        closes = CLOSES.search(text) is not None and re.search(r"\bbecause\b|\bsince\b|\bdue to\b", text) is not None
        if not closes or _FINE.search(text):
            return None
    closes = CLOSES.search(text) is not None
    because: Because = ""
    for name, expression in (
        ("auth", _AUTH), ("busy", _BUSY), ("parameters", _PARAMETERS), ("lookup", _LOOKUP),
    ):  # fmt: skip
        if expression.search(text):
            because = name  # type: ignore[assignment]
            break
    if not because and _INLINE.search(text):
        because = "raised"
    return Complaint(closes, because, because in {"auth", "parameters"} and _GONE.search(text) is not None)


# --- fields ------------------------------------------------------------------------------------------------------------

EVENT_NAME = re.compile(
    r"(?:call|streaming|conference)[._](?:initiated|answered|bridged|hangup|hold|unhold|cost|enqueued|started|stopped|failed|"
    r"(?:dtmf|speak|playback|machine|recording|gather|fork|refer)[._][a-z._]+|streaming[._](?:started|stopped|failed)|transcription)",
    re.IGNORECASE,
)
_EVENT_KEYS = (
    "event_type",
    "eventType",
    "event",
    "type",
    "telnyx_event",
    "webhook_event",
    "eventName",
    "event_name",
    "action",
)


def event_in(fields: dict[str, Any], depth: int = 0) -> str:
    """Telnyx's name of an event in one of a line's fields, with dots; "" where there is none."""
    for key in _EVENT_KEYS:
        value = fields.get(key)
        if isinstance(value, str) and EVENT_NAME.fullmatch(value) is not None:
            return value.lower().replace("_", ".")
    if depth < 4:
        for value in fields.values():
            if isinstance(value, dict) and (name := event_in(value, depth + 1)):
                return name
    return ""
