"""What Telnyx says and what we say back: typed messages, `parse_*` and `encode_*`, signatures. No state, no I/O.

media      the frames on the audio WebSocket, both directions   (start here)
webhook    the call and streaming events that Telnyx POSTs
command    the bodies of Call Control commands
conference the bodies of a conference's commands, and its resources
api        what the API answers: results, errors, calls, deliveries
words      events and commands in a few words each, for people
signature  Ed25519 over a webhook's raw body
ids        the ids of a call, so that one is never passed where another is meant
document   how a document is read leniently and written back whole
"""
