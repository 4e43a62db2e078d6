"""The call server: two routes, one runner, one coroutine per call.

webhooks  POST /api/calls/webhook: verify, store, answer 200, then work        (start here)
media     wss …/api/calls/{call_session_id}/audio: admit, then carry frames    (or here)
socket    the socket below a stream: frames on the bare transport, or ASGI messages
frames    WebSocket frames in and out, pure
gathering frames of many calls in small batches
pacer     one timer for all streams
handover  the queue to a handler
recording both sides of a call, on disk
file_threads threads that work on files, so that the event loop never waits for a disk
uploads   recordings, to where they are kept after the call
runner    all live calls: what comes from outside finds its call
live      one of them, an actor: folds its timeline, sends what follows, runs the handler
guard     its patience with slow and silent connections
limits    what strangers may cost: upgrades, connections, rows; and who a client is, behind proxies
drain     the web server that lets calls finish before it stops
workers   several such processes on one machine, and the parent that starts them
leases    which calls this node acts for, where several share one call log
recovery  calls whose process is gone: after a start, and after the death of another node
retention deletes calls and recordings, by age or on request
examiner  has the doctor try the URL of a stream that did not come
traces    calls as OpenTelemetry traces, made when they are over
metrics   what /metrics tells
probe     the doctor's own call: told what arrived, and echoed
tokens    who may open a call's audio socket
handler   what an application writes, and the Call it is given
bridge    two calls that talk to each other
builtin   handlers that can be run by name: echo, record, tone
app       puts these together as an ASGI application
"""
