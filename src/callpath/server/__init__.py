"""The call server: two routes, one actor a call, one coroutine of the application for each.

From outside
    webhooks     POST /api/calls/webhook: verify, store, answer 200, then work             (start here)
    media        wss …/api/calls/{call_session_id}/audio: admit, then carry frames         (or here)
    admission    whether an audio socket may open
    socket       the socket below a stream: frames on the bare transport, or ASGI messages
    frames       WebSocket frames in and out, pure
    read_coalescer  frames of many calls in small batches
    pacer        one timer for all streams

A call
    calls        all live calls: what comes from outside finds its call
    live         one of them, an actor: reads what is new, acts on it, waits
    journal      its timeline: entries that wait to be stored, and the state
    outbox       its commands, and their answers
    application  its handler: when it is entered, how it ends, and what that means
    dialling     dials for the application, and tells what came of it; finds dials of processes that are gone
    announcing   the handler of a call that is dialled to say or play one thing
    consulting   what it tells the other call of a consult, and learns from it
    routing      which handler takes it, and what is decided about it while it rings
    supervisor   what is wrong with it, and what it needs now
    line         its audio socket
    ownership    whether this node acts for it
    events       what Telnyx tells of it: webhooks, missed events, the line's state
    prober       has the doctor try the URL of a stream that did not come

Around them
    context      what every call needs, put together once
    blocking     names the code that blocks the event loop
    tasks        everything that runs beside the requests
    capacity     whether a new call can be taken
    leases       which calls this node acts for, where several share one call log
    recovery     calls whose process is gone: after a start, and after the death of another node
    drain        the web server that lets calls finish before it stops
    workers      several such processes on one machine, and the parent that starts them
    guard        timeouts for slow or idle HTTP clients
    limits       rate limits for unauthenticated clients; and who a client is, behind proxies
    retention    deletes calls and recordings, by age or on request
    uploads      recordings, to where they are kept after the call
    traces       calls as OpenTelemetry traces, made when they are over
    metrics      what /metrics tells
    probe        the doctor's own call: told what arrived, and echoed
    tokens       who may open a call's audio socket
    builtin      handlers that can be run by name: echo, record, tone
    app          puts these together as an ASGI application
"""
