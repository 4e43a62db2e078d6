"""What a line of a log is about: a table of patterns, and another one of talk that must not be taken for it.

A pattern is written over the line in lower case, with camel case taken apart (`streamUrl` is `stream url`). In a pattern
`~` stands for nothing, a space, a dot, a dash or an underscore. The first row that fits names the topic; `unless` takes a line
back, TALK does so for every stage: plans, waits and settings are no events. Topics with a dot are kinds of
`callpath.timeline` or parts of one; the others are about the process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Pattern:
    """`needs`: one of these must stand in the line before the expression is tried at all (speed). `sockets`: the line
    must not be about another socket than the call's (the bot's own to an AI, a browser's, a database's)."""

    topic: str
    expression: re.Pattern[str]
    needs: tuple[str, ...]
    unless: re.Pattern[str] | None = None
    talk: bool = True
    sockets: bool = False
    before: re.Pattern[str] | None = None
    """Takes the line back where it stands before the match or in its clause: what follows is another matter."""


def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression.replace("~", r"[ ._\-]?"))


def _row(
    topic: str,
    needs: str,
    expression: str,
    unless: str = "",
    *,
    talk: bool = True,
    sockets: bool = False,
    before: str = "",
) -> Pattern:
    return Pattern(
        topic, _compiled(expression), tuple(needs.split()), _compiled(unless) if unless else None, talk, sockets,
        _compiled(before) if before else None,
    )  # fmt: skip


TALK = _compiled(
    r"\b(?:waiting|await(?:ing)?|wait|expect(?:s|ed|ing)?|will|would|should|shall|could|might|may|going to|about to|must|can)\b"
    r"|\bready (?:to|for)\b|\bto connect\b|\bonce\b|\bwhen(?:ever)?\b|\bif\b|\bmake sure\b|\bensure\b|\btodo\b|\bhint\b"
    r"|\b(?:has|have|did|do|does|is|was|are) ?n[o']t\b|\bnever\b|\bwithout\b|\bnot yet\b|\bstill no\b|\bno (?:web~?socket|media|stream|audio|start|connection|frames?|upgrade)\b"
    r"|\b(?:registered|registering|mounted|configured|available|supported|support|enabled|disabled|initiali[sz]ed|skipp(?:ed|ing)|simulat\w*|dry~run|example|usage)\b"
    r"|\b(?:handlers?|routes?|listener) (?:for|on|at|added|ready)\b|\bendpoints?\b ?[:=(]|\bserver (?:is )?(?:started|starting|running|ready|up|listening|created)\b"
    r"|\blistening\b|\bnext step\b|\bretrying (?:in|after)\b|\bcheck (?:that|whether|your|the)\b"
)
"""Words that make an announcement, a condition or a denial of a line."""

OTHERS = _compiled(
    r"\bopen ?ai\b|\brealtime (?:api|session|ws|web~?socket|client|model)\b|\bgpt\b|gpt-4|\bgemini\b|\bdeepgram\b|\beleven~?labs\b"
    r"|\bassembly~?ai\b|\baai\b|\bcartesia\b|\banthropic\b|\bclaude\b|\bazure\b|\bspeechmatics\b|\bwhisper\b|\bgroq\b|\bgrok\b"
    r"|\bxai\b|\bultravox\b|\bhume\b|\bretell\b|\bvapi\b|\brime\b|\bplayht\b|\bvertex\b|\bllm\b|\bstt\b|\btts\b|\basr\b"
    r"|\bspeech~to~text\b|\btext~to~speech\b|\bnova sonic\b|\bbedrock\b|\bsoniox\b|\bgladia\b|\bmistral\b|\bnvidia\b|\briva\b"
    r"|\bai\b|\bmodel\b|\btranscri\w+|\bdashboard\b|\bbrowser\b|\bfront~?end\b|\badmin\b|\bsocket\.io\b|\bredis\b|\bsupabase\b"
    r"|\bpostgres\w*|\bdatabase\b|\bmongo\w*|\bmonitor\w*|\blivekit\b|\bnats\b|\bkafka\b|\brabbit\w*|\bmqtt\b|\bslack\b"
    r"|\bdiscord\b|\bui client\b|\bweb client\b|\bspy\b|\bobserver\b|\bupstream (?:ws|socket|connection)\b|\bvad\b|\bagent ws\b"
)
"""Whose socket, audio or session it is, where it is not the call's."""

OURS = _compiled(
    r"\btelnyx\b|\bmedia~?(?:stream\w*|ws|web~?socket|socket|connection|path|server|bridge)?\b|\bcaller\b|\bphone\b|\bcarrier\b|\bpstn\b"
    r"|\bcall~?(?:control|session|leg)\b|\binbound\b|/(?:[\w-]+/)*(?:media|stream|audio|telnyx)[\w/-]*|\btelephony\b"
)

PART = (
    r"\b(?:consumer|producer|workers?(?! exiting)|session|sessions|task|tasks|stream|streams|websocket|web socket|socket|client|queue|"
    r"pipeline|transport|call|calls|agent|thread|pool|monitor|turn|tts|stt|vad|llm|asr|playback|recorder|recording|listener|"
    r"subscriber|handler for|bridge|room|coroutine|loop for|player|mixer|buffer|timer|idle|keepalive|heartbeat|deepgram|openai|"
    r"eleven ?labs|redis|connection for|connections? pool|scheduler)\b(?! server)"
)
"""Parts of a program that end while it goes on. A line about one of them says nothing about the process."""

PATTERNS: tuple[Pattern, ...] = (
    # --- the process ------------------------------------------------------------------------------------------------
    _row("dropped", "dropped rate limit", r"messages? dropped|logs?/sec(?:ond)? reached|rate limit of \d+ logs|log (?:lines?|messages?) (?:were )?dropped", talk=False),
    _row("out of memory", "memory oom 137 killed heap", r"out of memory|heap limit|\boom~?kill\w*|\boom\b.{0,20}\bkill|exit(?:ed)?(?: with)?(?: status| code)? ?:? ?137|memory (?:quota|limit) exceeded|\br1[45]\b.{0,20}memory|memory usage.{0,20}exceeded", talk=False),
    _row("worker timeout", "worker", r"\bworker timeout\b|worker \(?pid:? ?\d+\)?.{0,40}(?:timed out|sent sigabrt)|worker.{0,20}failed to respond to (?:heartbeat|ping)", talk=False),
    _row("boot failed", "boot module found import application startup asgi eaddrinuse address exec command require parse syntax class beans port", r"worker failed to boot|exception in worker process|failed to boot|error loading asgi app|could not import module|application startup failed|cannot find (?:module|package)|module~not~found~?error|no module named|\bimporterror:|eaddrinuse|address already in use|failed to find attribute|exec format error|(?:exec|entrypoint|command).{0,60}(?:no such file or directory|not found|permission denied)|application (?:run failed|failed to start)|application context failed|could not find or load main class|failed to open stream.{0,40}vendor/autoload|beans?creationexception|failed to start (?:application|server|child)|could not start (?:application|server)|cannot start (?:application|server)|port \d+ (?:is )?already in use|startup (?:failed|error)\b|uncaught syntaxerror|bundler::gemnotfound", r"retry|optional|falling back|fallback|\bwarn(?:ing)?\b.{0,20}import", talk=False),
    _row("exited", "exited exit crash back-off restart terminated backoff", r"exited with (?:status|code) [1-9]|exited normally with code: [1-9]|exited (?:with )?exit code:? [1-9]|\bexit(?:ed)?(?: with)?(?: status| code| status code)[ :]{1,2}[1-9]\d*\b|back-?off restarting failed|crashloopbackoff|state changed from \w+ to crashed|max restart count|error: server (?:crashed|exited)|main process exited, code=exited, status=[1-9]|main process exited.{0,30}failure|deployment crashed|process (?:has )?crashed|app crashed|worker \(pid:? ?\d+\) exited with code [1-9]", r"\bworker\b(?! \(pid).{0,40}exited|thread", talk=False),
    _row("crash", "uncaught unhandled panic fatal segfault segmentation node.js throw terminating", r"uncaught ?(?:exception|\w*error)|unhandled ?(?:promise )?rejection|\bpanic:|segmentation fault|segfault|fatal error:|node:internal.*throw|triggeruncaughtexception|^node\.js v\d+[\d.]+$|exception in thread \"main\"|php fatal error|terminating due to (?:uncaught|unhandled)", talk=False),
    _row("stopping", "sigterm sigint sigquit stopping shutting shutdown shut terminat draining signal stop", r"\bsigterm\b|\bsigint\b|\bsigquit\b|stopping container|handling signal: ?(?:term|int|quit)|stopping all processes|sending signal (?:sigterm|sigint)|shutting down:? master|\bshutting down(?: (?:the |this )?(?:web ?|http |api |main |app )?(?:server|process|application|app|service|container|instance|machine|gracefully))?(?: gracefully)?[ .…!]*$|(?:server|process|application|app|service|container|instance|machine|uvicorn|gunicorn|hypercorn)\b[^.]{0,24}(?:is |now )?(?:shutting down|stopping|being stopped)|graceful(?:ly)? (?:shut~?down|stop)|shut~?down (?:requested|initiated|signal|started|in progress)|received (?:shutdown|termination|stop) (?:signal|request)|waiting for (?:connections|background tasks|application shutdown) to? ?(?:close|complete)?|application shutdown|finished server process|stopping (?:deployment|instance|machine|replica|process)|commencing graceful shutdown|termination signal|begin(?:ning)? shutdown|terminat(?:ing|ed) (?:pod|instance|container|machine|replica)|received signal:? ?(?:term|terminated|interrupt|15)|running .{0,20}shutdown hooks?", PART, talk=False),
    _row("restart", "starting container restart boot booting machine running", r"^starting container|^starting process with command|container (?:started|restarted)|\brestarting\b.{0,20}(?:process|container|server|app|service)|machine started|state changed from \w+ to starting|^starting init\b|booting worker with pid|^==> running '|start script runs|started server process|starting gunicorn", talk=False),
    _row("listening", "listening running serving started bound binding available ready port :// 0.0.0.0 127.0.0.1 localhost", r"(?:listening|running|serving|started|live|ready|bound|binding|available|up)\b.{0,60}(?:\bport~?[:=]? ?#?\d{2,5}\b|(?:https?|wss?|tcp)://[\w.\-\[\]:]+:\d{2,5}|(?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[?::1?\]?):\d{2,5}|:\d{4,5}\b)|uvicorn running on|\bport[:=] ?\d{4,5}$", r"\bopenai\b|redis|postgres|mongo|mysql|debugger|inspector|proxying|connected to", talk=False),
    _row("handler.failed", "asgi handler", r"exception in asgi application|\bexception in (?:the )?(?:web~?socket|ws|media|stream)\w* handler|(?:unhandled|uncaught) (?:error|exception) in (?:the )?(?:web~?socket|ws|media|stream)\w*(?: handler)?|(?:web~?socket|\bws\b|media stream|\bstream|\bmedia|\bcall) handler (?:crashed|failed|raised|error|exception)", talk=False, sockets=True),
    _row("stream.errored", "error", r"(?:\bevent\b['\"]?\W{1,4}error\b|\berror (?:frame|event|message)\b|\btelnyx\b.{0,24}\berror\b).{0,140}\b100\d{3}\b", talk=False, sockets=True),
    # --- refusals and signatures -------------------------------------------------------------------------------------
    _row("webhook.refused", "signature webhook timestamp public", r"(?:invalid|bad|missing|wrong|no|mismatch\w*|unverified|failed)[\w ]{0,24}signature|signature[\w :\-]{0,30}(?:fail|invalid|mismatch|missing|reject|wrong|not valid|did not|does not|bad|error)|webhook (?:was )?(?:refused|rejected|unauthori[sz]ed)|timestamp (?:too old|outside|expired|out of)|public key.{0,40}(?:invalid|missing|not set|wrong)|rejected? (?:unsigned|webhook)", r"\bskip\w*|\bdisabled\b|\bnot (?:enforced|required)\b|development|signature (?:verified|valid|ok)|\bdev mode\b|\bwarn\w*: no signature"),
    # --- events of Telnyx, by their names: the name is the proof ---------------------------------------------------------
    _row("webhook", "call. call_in call_an call_br call_ha call_dt call_sp call_pl call_ma call_ho call_un call_fo call_co call_re call_tr call_ga call_en call_st streaming", r"(?P<event>\bcall[._](?:initiated|answered|bridged|hangup|dtmf[._]received|speak[._](?:started|ended)|playback[._](?:started|ended)|machine[._](?:premium[._])?(?:detection|greeting)[._]ended|hold|unhold|fork[._](?:started|stopped)|cost|recording[._](?:saved|error)|transcription|gather[._]ended|enqueued|refer[._]\w+)|\b(?:call[._])?streaming[._](?:started|stopped|failed))\b", r"\b(?:waiting|wait|await\w*|expect\w*|until|will|would|should|once|if|upon|subscribed|subscribe|registered|handlers?|supports?|supported|must|listen(?:s|ing)? for|no|never|without|missing|before|not|instead of|needs?)\b[^\"{]{0,60}\b(?:call|streaming)[._]\w+|[._](?:initiated|answered|hangup|started|stopped|failed) (?:handler|event) (?:registered|ready|never|not|did)|[._]\w+ (?:never|has not|not yet|not received|did not)", talk=False),
    _row("webhook.failed", "failure connection_failed", r"\bstreaming~failed\b.{0,200}(?:failure~reason|connection_failed)", talk=False),
    _row("reply", "repl respon return", r"\b(?:webhook |http )?(?:reply|replied|replying|responding|response|responded|returning|return)\b.{0,40}(?:stream~url|\bcommands?\b|\"result\"|\baction\b).{0,80}(?:streaming|stream~url|\banswer\b)", r"api\.telnyx|actions/|\b[45]\d\d\b|status~code", talk=False),
    # --- streaming_start -------------------------------------------------------------------------------------------------
    _row("stream.failed", "stream", r"(?:fail(?:ed|ure)?|error|could not|couldn't|cannot|unable|rejected|refused|denied|exception|✗|❌)[^.]{0,50}(?:\bstreaming~start\w*|\bstart\w*(?: the| a| telnyx| media| audio| call| web~?socket)*~stream\w*|\bstream\w*~?start\w*|\bmedia~stream\w*|\bstreaming\b)|(?:streaming~start|start~(?:the |media |audio |telnyx |call )*~?stream(?:ing)?|media~stream(?:ing)?(?:~start)?|streaming)\b(?: \w+){0,3}[^.a-z]{0,12}(?: \w+){0,4}(?:fail|error|reject|refus|exception|denied|\b4\d\d\b|\b5\d\d\b)", r"\"web~?socket /|http/1\.|streaming[._]failed|web~?socket (?:connection )?(?:error|failed|closed)|error (?:frame|event|processing|handling|parsing|sending|in|on|from|reading) |\"web~?socket /|http/1\.|\bws error|stream error (?:from|on|event)|response~stream|stream\w* (?:stopped|ended|closed)|stop\w*~?stream|failed to (?:send|process|parse|decode|play|stop|forward|read|handle)|\b(?:llm|tts|openai|token|chat) stream", talk=False, sockets=True),
    _row("stream.accepted", "stream", r"streaming~start\b[^.]{0,60}(?:accepted|success\w*|succeeded|\bok\b|\b20\d\b|complete\w*|resp(?:onse)?\b|result|done|acknowledged|✓|✅)|(?:✅|✓|✔|success\w*|\bok\b)[^.]{0,40}(?:streaming~start\b|streaming (?:was |is )?started|stream(?:ing)? start(?:ed)?\b)|(?:media~|audio~|telnyx |web~?socket |call )?streaming (?:was |has been |is )?(?:started|activado|activated|gestartet|iniciado|démarré|begun|requested)|(?:media|audio|web~?socket|bidirectional|telnyx)~stream(?:ing)? (?:start )?(?:was |has been )?(?:started|requested|accepted|initiated|opened|active|established)(?: success\w*)?|stream started success\w*|stream(?:ing)? (?:start )?request (?:was )?(?:accepted|ok|succeeded|granted|successful)|stream(?:ing)? start (?:was )?(?:accepted|ok\b|succeeded)|start~?stream\w* (?:response|result|ok|succeeded|success\w*|accepted)|telnyx response.{0,20}result.{0,4}ok", r"(?:stream~?id|stream~?sid|encoding|media~format|sample~rate)\b|streaming[._]started|\bevent\b.{0,6}\bstart\b|\bws\]|start (?:event|frame|message)", sockets=True),
    _row("stream.starting", "stream", r"\bstreaming~start\b|(?:start(?:ing)?|initiat(?:e|ing)|request(?:ing)?|begin(?:ning)?|open(?:ing)?|enabl(?:e|ing)|launch(?:ing)?|iniciando|starte|démarrage)\b(?: \w+){0,2} (?:the |a |telnyx |bidirectional |bi-directional |real-?time |call |our )*(?:media|audio|web~?socket|ws|telnyx|voice|call)?~?stream(?:ing)?\b|\bstart(?:ing)?~?(?:media|audio|call|telnyx)?~?stream(?:ing)?\b|media stream being started|\bstream(?:ing)? (?:audio )?to ?:? wss?:", r"response~stream|\b(?:llm|tts|openai|token|chat|sse|text) stream|streaming (?:response|tokens|llm|tts|from)|stop(?:ping|ped)?\b.{0,20}stream|stream(?:ing)? stopped|started? (?:event|frame|message)|(?:stream~?id|stream~?sid|media~format)\b|upstream", sockets=True),
    _row("dial.accepted", "dial outbound outgoing placed originated", r"(?:outbound|outgoing) call (?:was )?(?:placed|created|dialed|dialled|initiated|started|queued|accepted|ok)\b|\bdial(?:ed|led)?\b.{0,20}(?:success\w*|accepted|\bok\b|\b20\d\b)|call (?:placed|dialed|dialled|originated)\b(?: success\w*)?", r"call[._](?:initiated|answered)|fail|error|reject|refus", talk=False),
    _row("dial.sent", "dialing dialling placing outbound outgoing calling sending originating", r"\bdial(?:ing|ling)\b|\bplacing (?:an? |the )?(?:outbound |outgoing |new )?call\b|\b(?:making|starting|creating|initiating|originating) (?:an? |the |new )*(?:outbound|outgoing) call\b|\bcalling \+?\d|sending call request|\boriginating call\b", r"call[._]initiated|fail|error|reject|refus|dialing plan"),
    # --- answer ------------------------------------------------------------------------------------------------------------
    _row("answer.failed", "answer", r"(?:fail(?:ed|ure)?|error|could not|couldn't|unable|cannot)[^.]{0,30}\banswer\w*(?: (?:the |inbound |incoming |this )?call)?\b|\banswer(?:ing)?(?: (?:the |inbound |incoming )?call| command| action)? (?:was )?(?:fail\w*|reject\w*|refused|error\w*)|actions/answer\b.{0,40}\b[45]\d\d\b", r"answering machine|no answer", talk=False),
    _row("answer.accepted", "answer", r"\banswer(?:ed)?(?: (?:the |inbound |incoming )?call| command| action)?\b.{0,24}(?:success\w*|accepted|\bok\b|\b20\d\b|sent\b)|\b(?:inbound |incoming |the )?call (?:was |has been )?answered\b|\banswered (?:the |inbound |incoming )?call\b|\banswer\b[^.]{0,6}(?:->|→|=>|:) ?20\d|actions/answer\b.{0,40}\b20\d\b", r"call[._]answered|answering machine|no answer|not answered|answered by|\bevent\b"),
    _row("answer.sent", "answer", r"\banswering\b(?: \w+){0,3} ?(?:call|inbound|incoming|telnyx|v3:|\[|:|leg|with|$)|\banswer (?:req(?:uest)?|command)\b|\bsend(?:ing)? answer\b|actions/answer\b|\bpost\b.{0,60}/answer\b|accepting (?:the |inbound |incoming )?call", r"answering machine"),
    # --- the socket -------------------------------------------------------------------------------------------------------
    _row("socket.missing", "socket ws stream upgrade media", r"\bnever (?:opened|connected|established|reached|upgraded)\b[^.]{0,40}(?:socket|\bws\b|stream)\b|\b(?:no|never|still no|not received|without)\b[^.]{0,40}(?:web~?socket|\bws\b|media~(?:stream|socket)|upgrade|stream connection)\b[^.]{0,60}(?:within|after|received|connect\w*|yet|opened|arriv\w*|came|seen|time)|(?:timed? ?out|time-?out)\b[^.]{0,40}(?:waiting|for)[^.]{0,40}(?:web~?socket|\bws\b|media stream|stream to connect|stream connection)|(?:web~?socket|media stream|\bws\b)[^.]{0,30}(?:never|did not|didn't|not) (?:connect\w*|open\w*|arriv\w*|establish\w*|receiv\w*)", r"\bif\b|\bcheck\b", talk=False, sockets=True),
    _row("socket.refused", "socket ws upgrade unauthorized handshake connection stream get", r"(?:refus(?:ed|ing)|reject(?:ed|ing)|den(?:ied|ying)|unauthori[sz]ed|forbidden|abort\w*|invalid token|bad token|destroying)[^.]{0,60}(?:web~?socket|\bws\b|upgrade|media stream|stream connection|handshake|socket)\b|(?:web~?socket|\bws\b|upgrade|handshake|media stream)[^.]{0,60}(?:\brefus\w*|reject\w*|denied|unauthori[sz]ed|forbidden|not authori[sz]ed|invalid token|unknown path|no route|destroy\w*|not found)|\"web~?socket /\S*\" (?:403|4\d\d|5\d\d)|\"get /(?!\S*\.[a-z]\w{1,4}[? ])\S*(?:(?<![a-z])ws(?![a-z])|stream|media|audio)\S* http/1\.\d\" (?:4\d\d|5\d\d)|connection rejected \(\d{3}|handshake failed|did not receive a valid http request|unhandled upgrade|upgrade (?:request )?for unknown", r"web~?socket (?:connection )?closed|\b(?:ws|socket) (?:on )?close|openai", talk=False, sockets=True),
    _row("socket.closed", "closed disconnect close clos ended detached left gone getrennt desconect déconnect", r"(?:web~?socket|\bws\b|media~(?:stream|socket|ws|connection)|telnyx (?:stream|connection|socket|media)|stream connection|\bsocket\b|\bclient\b|\btelnyx\b)[^.]{0,40}(?:\bclosed?\b|disconnect\w*|getrennt|geschlossen|desconect\w*|déconnect\w*|\bended\b|\bterminated\b)|(?:\bclosed\b|disconnect\w*|connection clos\w*)[^.]{0,30}(?:web~?socket|\bws\b|media~(?:stream|socket|ws)|telnyx|stream connection)|^(?:info: +)?connection closed$|websocketdisconnect\b|\b(?:ws|web~?socket|media|telnyx|socket) (?:on )?(?:close|disconnect|end)\b|\b(?:ws|web~?socket|media|stream|audio) (?:peer|client|session|connection) (?:detached|left|gone)\b", r"closing (?:openai|deepgram|eleven)|close (?:openai|deepgram|eleven)", talk=False, sockets=True, before=r"\b(?:if|when|whenever|once|will|would|until|in case)\b"),
    _row("socket.received", "socket ws upgrade connect media verbunden conect 101 accept handle handshak attached joined", r"(?:web~?socket|\bws\b|\bwss\b|media~(?:stream|socket|ws|connection|bridge)|telnyx (?:stream|media|socket)|stream connection|audio (?:stream|socket|connection))(?![^.]{0,24}\bstarted\b)[^.]{0,40}?(?:\breceived\b|\bconnected\b|\bconnection (?:established|received|opened|accepted|from|for|open|on)\b|\bopened\b|\bopen\b|\baccepted\b|\bestablished\b|\bupgraded\b|\bconnection\b(?: |$)|verbunden|conectad\w*|connecté\w*|collegat\w*|подключ\w*)|(?:new|incoming|received|accepted|accepting|handling|got|inbound)(?: \w+){0,3} (?:web~?socket|\bws\b|media~(?:stream|socket|ws)|upgrade)\b(?: (?:connection|request|client|from|for|upgrade|on))*|\btelnyx (?:has |is |just )?connected\b|\btelnyx (?:conectad\w*|conec\w+|verbunden)|(?:client|caller|carrier|call) connected to (?:the )?(?:media|web~?socket|stream|audio|ws)|connected to (?:the )?(?:media|audio) stream|\bupgrade request\b|\bhttp upgrade\b|handle~?upgrade|upgrad(?:e|ing) to web~?socket|\"web~?socket /\S*\" \[accepted\]|\"get /\S* http/1\.\d\" 101\b|^(?:info: +)?connection open$|event(?: on (?:the |its )?(?:socket|ws|web~?socket|stream))?['\"]?[:= ]+['\"]?connected\b|\b(?:ws|web~?socket|media|stream|audio) (?:peer|client|session|connection) (?:attached|joined|opened)\b|\b(?:ws|web~?socket) (?:handshake|upgrade|open|accept|connect|attach)(?:ed|ing)?\b(?! (?:fail|error|reject|refus|denied))|\bhandshaking\b|connection attempt received", sockets=True, before=r"connect(?:ing|ion)? to\b(?! (?:the )?(?:media|audio|stream))|disconnect|\bclosed\b|\bclosing\b|\berrors?\b|\bfail\w*|timed? ?out|connecting\b|\bserver\b ?(?:on|at|:)|\bactive\b.{0,12}\bconnections?\b|\bconnections?: ?\d|pool|(?<!handshake )\burl ?[:=]|stream~?url|\bmessages?\b|\bframes?\b|\bchunks?\b|\bpackets?\b|received (?:first )?(?:media|audio)(?! (?:ws|web|stream|socket|conn))"),
    # --- frames -----------------------------------------------------------------------------------------------------------
    _row("stream.started", "start stream", r"(?:\bevent\b(?: on (?:the |its )?(?:socket|ws|web~?socket|stream))?|\bframe\b|\bmessage\b|\btype\b)['\"]?[:= ]+['\"]?start\b|\bstart['\"]? (?:event|frame|message)\b|(?:received|got|processing|handling|telnyx|ws\]|web~?socket\]?:?)[ :\-]{1,3}['\"]?start['\"]?(?: |$|:|,)|stream(?:ing)? (?:has )?start(?:ed)?\b.{0,120}(?:stream~?id|stream~?sid|encoding|media~format|sample~rate|call~?control~?id|callcontrolid)|stream(?:ing)? start(?:ed)? ?[:\-(]? ?[\[(]?[0-9a-f]{8}-[0-9a-f]{4}|media~format\b.{0,40}(?:encoding|pcm|l16|g722|opus)|(?:incoming |media )?stream (?:has )?started$|\bstream~?sid\b ?[:=]", r"streaming~start\b|call started|session started|transcri|recording|speak|playback|\bsuccess\w*\b|result|bidirectional~(?:mode|codec)|actions/", sockets=True),
    _row("media.in", "media audio frame packet chunk payload rtp", r"(?:first|received|receiving|inbound|incoming|got|caller|processing|#1\b|recv|rx)\b(?: \w+){0,3} ?(?:media|audio|rtp|frames?|packets?|chunks?)\b|(?:media|audio|rtp) (?:frames?|packets?|chunks?|payload|data|event|message|samples?)?~?(?: ?#? ?\d+)? ?(?:received|arrived|arriving|in\b|flowing|from (?:the )?(?:caller|telnyx|phone))|(?:\bevent\b|\bframe\b|\btype\b)['\"]?[:= ]+['\"]?media\b|\bmedia (?:event|frame|packet|message|chunk)s?\b|frames?[ _]?(?:in|received|rx)\b ?[:=] ?[1-9]|\b(?:rtp|audio|media) (?:in|rx)\b(?! (?:the|a|an|to|progress|format|file|device|queue|order|sync|use)\b)|\bpackets? (?:in|received)[:= ]+[1-9]", r"\bsen[dt]\w*|outbound|outgoing|\b(?:rtp|audio|media|frames?|packets?|chunks?) (?:out|tx)\b(?! of)|\bto (?:telnyx|caller|phone|call|openai|deepgram|ai)\b|playing|media~(?:type|url|name|format)|\bfailed|error|\b0 (?:frames|packets|chunks|media)|response\.audio|delta|playback|recording|from (?:open ?ai|eleven|deepgram|ai|gemini|tts|llm)|stopp|format", sockets=False),
    _row("media.out", "audio media frame greeting chunk packet rtp speaking", r"(?:sen(?:t|ding)|forward(?:ed|ing)|stream(?:ed|ing)|play(?:ed|ing)|writ(?:e|ing)|wrote|first outbound|outbound|outgoing|relay(?:ed|ing))\b(?: \w+){0,4} ?(?:audio|media|frames?|chunks?|packets?|greeting|tts|speech)\b.{0,40}|\b(?:audio|media|greeting|frames?) (?:(?:frame |chunk )?to (?:the )?(?:caller|carrier|phone)\b|(?:audio |was )?sent\b)|frames?[ _]?(?:out|sent|tx)\b ?[:=] ?[1-9]|\b(?:rtp|audio|media) (?:out|tx)\b(?! (?:of|the|a|an|to|for|format|file|device|queue)\b)|\btx (?:audio|media|rtp|frames?|packets?)\b|\b(?:bot|agent|assistant) started speaking\b", r"\bto (?:open ?ai|deepgram|gemini|eleven~?labs|ai|assembly\w*|stt|llm|whisper|asr|realtime|the ai|model)\b|from (?:caller|telnyx|phone)|inbound|received|actions/|\bfailed|error|streaming (?:to|audio to|media to)? ?:? ?wss|\b0 (?:frames|packets|chunks)|start~?stream|streaming~(?:start|started)", sockets=False),
    _row("stream.stopped", "stop ended", r"(?:\bevent\b(?: on (?:the |its )?(?:socket|ws|web~?socket|stream))?|\bframe\b|\bmessage\b|\btype\b)['\"]?[:= ]+['\"]?stop\b|\bstop['\"]? (?:event|frame|message)\b|(?:media |audio |telnyx |the )?stream(?:ing)? (?:has |was )?(?:stopped|ended|finished|beendet|broke off)|(?:received|got|telnyx|ws\]|web~?socket\]?:?)[ :\-]{1,3}['\"]?stop['\"]?(?: |$|:|,)", r"streaming[._]stopped|stop~?(?:word|sequence)|recording|speak|playback|tts|transcri|stop reason", talk=True, sockets=True),
    # --- the call -----------------------------------------------------------------------------------------------------------
    _row("hangup.sent", "hang end", r"\b(?:silence|silent|inactivity|idle|no[ _-]?(?:speech|input|audio|response))\b[^.]{0,40}\b(?:ending|terminating|dropping|closing) (?:the |this )?call\b|\bhanging up\b(?! detected)|\bend~call\b.{0,12}(?:tool|function|invoked|requested|called)|(?:tool|function)\b.{0,16}\bend~?call\b|\bhang~?up (?:command|request|action)\b|\bsend(?:ing)? hang~?up\b|actions/hangup\b|\bhang~?up (?:sent|command|requested|call)\b", r"call[._]hangup"),
    _row("hangup", "hang hung ended end completed terminated disconnect beendet finalizada", r"\bcall (?:was |has )?(?:ended|hung up|hangup|terminated|completed|disconnected|finished|beendet|finalizada|over)\b|\bhang~?up (?:received|event|by|from|cause|detected|outcome|reason)\b|\b(?:caller|callee|user|remote|customer) (?:has )?hung up\b|^hang~?up\b|hangup~?cause", r"call[._]hangup|hangup (?:command|request|sent)|if |before call|after call|tool|function|api call|model call|playback|speak"),
    _row("incoming", "incoming inbound new received initiated dialing placing from nuova llamada anruf appel", r"\b(?:incoming|inbound|new|received|nuova|eingehender|llamada entrante|appel entrant)(?: \w+)? ?(?:phone )?(?:call|anruf|llamada)\b|\bcall (?:was |has been )?(?:initiated|received|incoming|from)\b|llamada entrante|eingehender anruf|\bdialing\b|\bplacing (?:outbound |an )?call", r"call[._]initiated|outbound call|outgoing call|(?:tool|function|api|model|method) call|callback|answer\w* (?:the |inbound |incoming |new )*call|call received (?:tool|function)|rejected|config|webhook url|new call session class"),
    _row("alive", "transcript said user assistant caller says speech barge utterance heard", r"\b(?:user|caller|customer|human)(?: (?:said|says|transcript\w*|speech|utterance|started speaking|stopped speaking))\b ?[:\-]?|speech (?:started|stopped|detected)|barge~?in|interrupt(?:ed|ion) detected|\btranscript(?:ion)?\b ?[:\-(\"']|input_audio_buffer[._]speech|final transcript", "no transcript|without|transcriptions? enabled|webhook"),
)  # fmt: skip
"""Topics in the order in which they are tried."""

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SNAKE = re.compile(r"(?<![\w./:@-])[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+(?![\w]|['\"]?\s*[:=]|[.(/])")
_KEPT = re.compile(
    r"^streaming_(?:start|started|stopped|failed|stop)$|^call_(?:initiated|answered|bridged|hangup|hold|unhold|cost|[a-z]+_(?:id|started|"
    r"ended|saved|error|stopped|received|detection_ended|greeting_ended))$|^(?:normal|originator|user|call)_[a-z]+$|_(?:id|sid|url|codec|mode|track|rate|key|token|ms|track)$|"
    r"connection_failed|time_limit|not_found|no_answer|input_audio_buffer",
    re.IGNORECASE,
)
"""Names that patterns know as they are: Telnyx's events, causes and parameters."""
_CLAUSE_END = re.compile(r"[.;!,] | - | [–—] ")
_URL = re.compile(r"\w+://\S*")
_ROWS_OF_WORD = tuple(
    (word, sum(1 << number for number, row in enumerate(PATTERNS) if word in row.needs))
    for word in sorted({word for row in PATTERNS for word in row.needs})
)
"""Each needed word, and the rows that it opens, as bits."""

_SIGNATURE = re.compile(r"v[23]:[\w\-+/=%]{8,}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{18,23}")


@dataclass(frozen=True, slots=True)
class Topic:
    """What a line is taken for; `event` is Telnyx's own name of a webhook."""

    name: str
    event: str = ""


def plain(text: str) -> str:
    """The line as the patterns read it: `WS_CLOSE`, `ws_close` and `wsClose` are `ws close`."""
    if "_" in text:
        text = _SNAKE.sub(lambda found: found[0] if _KEPT.search(found[0]) else found[0].replace("_", " "), text)
    return " ".join(_CAMEL.sub(" ", text).lower().split())


def rows_for(line: str) -> int:
    """The rows, as bits, that this plain line may fit by the words in it: 0 where none."""
    rows = 0
    for word in line.split():
        known = _ROWS_KNOWN.get(word)
        if known is None:
            if len(_ROWS_KNOWN) >= WORDS_MAX:
                _ROWS_KNOWN.clear()
            known = 0
            for need, opens in _ROWS_OF_WORD:
                if need in word:
                    known |= opens
            _ROWS_KNOWN[word] = known
        rows |= known
    return rows


WORDS_MAX = 30_000
_ROWS_KNOWN: dict[str, int] = {}
"""Words that were looked up."""


def topic_of(text: str) -> Topic | None:
    """What this line is about, or None: nothing that a call's stages or its process could be read from."""
    return _topic_of(_short(text[:1500]))


def plain_line(text: str) -> str:
    """The whole line as the patterns read what its logger wrote: ids are all alike."""
    return plain(_short(text))


def _short(text: str) -> str:
    return _SIGNATURE.sub(_short_id, text)


def _short_id(found: re.Match[str]) -> str:
    return "v3:id" if found[0].startswith("v") else "00000000-0000-4000-8000-000000000000"


@lru_cache(maxsize=4096)
def _topic_of(text: str) -> Topic | None:
    line = plain(text)
    wanted = rows_for(line)
    if not wanted:
        return None
    about_other: bool | None = None
    while wanted:
        lowest = wanted & -wanted
        wanted ^= lowest
        row = PATTERNS[lowest.bit_length() - 1]
        found = row.expression.search(line)
        if found is None or (row.unless is not None and row.unless.search(line)):
            continue
        if row.talk or row.before is not None:
            clause = _CLAUSE_END.search(line, found.end())
            said = _URL.sub(" ", line[: clause.start() if clause else len(line)])
            if (row.talk and TALK.search(said)) or (row.before is not None and row.before.search(said)):
                continue
        if row.sockets:
            if about_other is None:
                about_other = _about_other(line)
            if about_other:
                continue
        if row.topic == "webhook.failed":
            return Topic("webhook", "streaming.failed")
        if row.topic == "webhook":
            event = found["event"].replace("_", ".").replace(" ", ".")
            return Topic("webhook", event.removeprefix("call.") if event.startswith("call.streaming") else event)
        return Topic(row.topic)
    if (
        _MAY_FAIL.search(line)
        and OTHER_FAILED.search(line)
        and not _STORES.search(line)
        and (_about_other(line) if about_other is None else about_other)
    ):
        return Topic("provider failed")
    return None


_MAY_FAIL = re.compile(r"fail|error|refus|reject|nauthori|invalid|time|econn|\b(?:401|403|429|5\d\d)\b")
OTHER_FAILED = _compiled(
    r"(?:\bfail\w*|\berror\b|\brefus\w*|\breject\w*|\bunauthori[sz]ed\b|\binvalid\b[^.]{0,12}\bkey\b|timed? ?out|econnrefused|\b(?:401|403|429|5\d\d)\b)"
    r".{0,160}(?:web~?socket|\bws\b|\bwss?:|session|connect\w*|realtime|handshake|stream|api)"
    r"|(?:\berror\b|\bfail\w*).{0,160}(?:insufficient~quota|\bquota\b|rate~limit|billing|credits?\b|invalid~(?:api~)?key|incorrect api key)"
    r"|(?:web~?socket|\bws\b|\bwss?:|session|connect\w*|realtime|handshake|stream|api).{0,160}"
    r"(?:\bfail\w*|\berror\b|\brefus\w*|\breject\w*|\bunauthori[sz]ed\b|timed? ?out|econnrefused|http~?(?:401|403|429|5\d\d)\b)"
)
"""The program's own way to an AI that broke: never the carrier's socket."""


_STORES = _compiled(
    r"\bdashboard\b|\bbrowser\b|\bfront~?end\b|\badmin\b|\bredis\b|\bpostgres\w*|\bdatabase\b|\bmongo\w*|\bmonitor\w*|\bnats\b"
    r"|\bkafka\b|\brabbit\w*|\bmqtt\b|\bslack\b|\bdiscord\b|\bui client\b|\bweb client\b|\bspy\b|\bobserver\b"
)
"""Those of OTHERS that speak to no caller."""


def _about_other(line: str) -> bool:
    """Whether the line's first subject is somebody else's socket or session."""
    other = OTHERS.search(line)
    if other is None:
        return False
    ours = OURS.search(line)
    return ours is None or other.start() < ours.start()


# --- what stands in the lines ------------------------------------------------------------------------------------------

_Q = r"['\"]?\s*[:=(]+\s*['\"]?"
FIELDS: dict[str, re.Pattern[str]] = {
    "status": re.compile(
        r"(?:\bstatus(?:[_ ]?code)?['\"]?\s*[:=]?\s*|\bHTTP(?:/1\.\d)?['\"]?\s*[:=]?\s*|fail\w*[:,]?\s*\(?|error[:,]?\s*\(?|"
        r"refused[:,]?\s*(?:with )?\(?|accepted[:,]?\s*\(?|returned\s+|success[:,]?\s*|response[:,]?\s*\(?|rejected[:,]?\s*(?:with )?\(?|\" |with |"
        r"\b(?=4\d\d (?:unauthori[sz]ed|forbidden|bad request|not found|unprocessable|too many)))"
        r"([1-5]\d\d)\b",
        re.IGNORECASE,
    ),
    "code": re.compile(r"\bcode" + _Q + r"(\d{5,6})\b|\b(9\d{4}|1000\d|1001\d|2000\d)\b(?=['\":, )]|$)", re.IGNORECASE),
    "detail": re.compile(
        r"\bdetail['\"]?\s*[:=(]+\s*(?:'((?:[^'\\]|\\.|(?<=\w)'(?=\w)){3,300})'|\"((?:[^\"\\]|\\.){3,300})\"|([^'\"}\]]{3,300}))",
        re.IGNORECASE,
    ),
    "title": re.compile(r"\btitle" + _Q + r"([^'\"}\]]{3,120})", re.IGNORECASE),
    "failure_reason": re.compile(
        r"\b(?:failure[_ ]?reason|reason)" + _Q + r"([A-Za-z][\w-]{2,60})|\b(connection_failed)\b", re.IGNORECASE
    ),
    "hangup_cause": re.compile(r"(?<!sip_)(?<!sip)\b(?:hangup[_ ]?)?cause" + _Q + r"([A-Za-z_]{3,40})", re.IGNORECASE),
    "hangup_source": re.compile(r"\b(?:hangup[_ ]?)?source" + _Q + r"(caller|callee|unknown)\b", re.IGNORECASE),
    "sip_hangup_cause": re.compile(r"\bsip[_ ]?hangup[_ ]?cause" + _Q + r"(\d{3})", re.IGNORECASE),
    "machine_result": re.compile(
        r"\bresult" + _Q + r"(human\w*|machine|not_sure|silence|fax\w*|beep_detected|no_beep_detected|ended)", re.IGNORECASE
    ),
    "direction": re.compile(r"\bdirection" + _Q + r"(incoming|outgoing|inbound|outbound)\b", re.IGNORECASE),
    "event_id": re.compile(r"\bid['\"]?\s*[:=]\s*['\"]?([0-9a-f]{8}-[0-9a-f-]{27})", re.IGNORECASE),
    "close_code": re.compile(r"\b(?:code|closed|status|close|closing|disconnected|with)\W{1,4}(?:with )?(?:code\W{1,3})?([134]\d{3})\b|\b(?:clos\w+|disconnect\w*)\b\D{0,90}?\b(1[01]\d\d|4\d{3})\b", re.IGNORECASE),
    "close_reason": re.compile(r"\breason" + _Q + r"([^'\",})]{2,80})", re.IGNORECASE),
    "encoding": re.compile(r"\b(?:encoding|codec)" + _Q + r"([A-Za-z0-9-]{2,12})", re.IGNORECASE),
    "sample_rate": re.compile(r"\b(?:sample[_ ]?rate|rate)" + _Q + r"(\d{4,5})\b", re.IGNORECASE),
    "stream_id": re.compile(r"\bstream[_ ]?(?:id|sid)" + _Q + r"([0-9A-Fa-f]{8}-[0-9A-Fa-f-]{27})", re.IGNORECASE),
    "path": re.compile(
        r"(?:\"(?:websocket|get) |\bpath" + _Q + r"|\burl" + _Q + r"|\bfor |\bon |\bat |: )(/[\w./%:?&=@+~-]{2,400})", re.IGNORECASE
    ),
    "port": re.compile(
        r"(?P<address>0\.0\.0\.0|127\.0\.0\.1|localhost|\[::1?\]|::):(\d{2,5})\b|\bport\W{1,4}(\d{2,5})\b|:(\d{4,5})\b",
        re.IGNORECASE,
    ),
}  # fmt: skip

URL = re.compile(r"\b(?:wss?)://[^\s'\"<>`|,;){\]}\\]+", re.IGNORECASE)
STREAM_URL_KEY = re.compile(
    r"\bstream(?:ing)?[_ ]?url" + _Q + r"((?:https?|wss?)://[^\s'\"<>`|,;){\]}\\]+)", re.IGNORECASE
)
FOREIGN_HOST = re.compile(
    r"openai|elevenlabs|deepgram|assemblyai|googleapis|cartesia|anthropic|azure|speechmatics|groq|x\.ai|ultravox|hume\.ai|"
    r"retell|vapi|rime\.ai|play\.ht|soniox|gladia|livekit|rtc\.telnyx|api\.telnyx|supabase|pusher|amazonaws\.com/transcribe",
    re.IGNORECASE,
)
"""Hosts that the bot itself connects to: never a stream URL."""


def field_of(name: str, text: str) -> str:
    """The first group that a field's expression caught in `text`, or ""."""
    found = FIELDS[name].search(text)
    if found is None:
        return ""
    return re.sub(r"\\(['\"])", r"\1", next((group for group in found.groups() if group), "")).strip()


def stream_url_in(text: str) -> str:
    """The URL that Telnyx is (or was) given for the stream, or ""."""
    if "://" not in text:
        return ""
    keyed = STREAM_URL_KEY.search(text)
    if keyed is not None and text[keyed.end() : keyed.end() + 1] not in {"{", "$"}:
        return keyed[1].rstrip(".")
    found = URL.search(text)
    if found is None or FOREIGN_HOST.search(found[0].partition("?")[0]):
        return ""
    line = plain(text[: found.start()] + " " + text[found.end() :])
    if _NO_STREAM_URL.search(line) or text[found.end() : found.end() + 1] in {"{", "$"}:
        return ""
    return found[0].rstrip(".")


_NO_STREAM_URL = re.compile(
    r"listening|running|server (?:is )?(?:started|ready)|endpoint|connecting to|connect to|available at|configur|\bdocs\b"
)
