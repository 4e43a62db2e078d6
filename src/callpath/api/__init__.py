"""What an application writes and is given: the App with its handler, and the Call.

    app.py        App, and the decorators that register its handlers
    call.py       Call: one phone call as its handler sees it. Start reading here
    feed.py       CallFeed: the server's side of a Call
    ring.py       a call that rings, and what may be decided about it: Answer, Reject, Forward, Ignore
    results.py    how what was asked for ended
    prompts.py    what Telnyx speaks, plays and gathers, until its end
    keys.py       keys that a handler gathers from its own stream
    news.py       waits for something that a call's timeline will tell
    transfer.py   a transfer and a SIP REFER, from the command to its outcome
    consult.py    a second call about this one, and what its handler does with it
    playback.py   one source that was played, and how much of it was heard
    playing.py    Player: several sources, one after the other, each cut off by a clear
    queue.py      the caller's audio, keys and marks on their way to a handler
    conference.py  several calls that hear each other, mixed by Telnyx
    recorders.py  recordings as a handler steers them: ours, and Telnyx's
    recording.py  a call's recording on disk
    transcription.py  what is said, as text that Telnyx makes of it
    sounds.py     WAV files to play: decoded once for all calls, and kept in memory
    files.py      recordings and sounds, together, for all calls of a process
    file_threads.py  threads that work on files, so that the event loop never waits for a disk
    bridge.py     two calls of one process that hear each other

Nothing here knows the server: it implements `CallBackend` and `AudioSink`, and so does `callpath.testing`.
"""
