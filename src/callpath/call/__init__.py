"""One call: what is legal, what is remembered. Pure: texts, entries and `now` go in; texts, events, commands come out.

session   the state of a call, folded from its timeline, and the commands that follow   (start here)
watchdog  what is wrong with a call whose line is up, and what is done for the caller
policies  how long what may take, and the steps that are taken then
ending    when a call is hung up, and when it is not ours to hang up any more
incoming  the commands that follow from a decision to reject or to forward a call that rings
consult   what follows for the two calls of a consult, each from its own timeline
outcomes  what became of a leg that was dialled: answered, busy, refused, …
refused   why Telnyx refuses a dial or a transfer, and what to do, by code
story     what happened, told in sentences, with each leg
dials     one dial, from its order to the call that it became
destinations  what may be dialled, and which numbers cost too much to be dialled by accident
running   what Telnyx does for a call until it is told to stop
conferences  which conference a leg is in
client_state  what a leg's client_state carries: the application's text, and callpath's own
numbers   numbers and keys, judged before anything is sent
leg       one party's side; no transition goes backwards
stream    one audio WebSocket, sans I/O
keys      keys in the order in which they were pressed
playout   audio on its way to the caller: pacing, marks, clear
kept      its recordings, and where each is
overview  a call as a row of a list, kept up to date entry by entry
symptoms  wrong sound or behaviour of a stream that works by the letter
listening whether anything was said or heard yet, where payloads do not show it
echo      whether the caller's audio holds ours
recorder  both sides of a call on one clock
plan      what we ask of Telnyx for a call's audio
address   the two URLs of a call server
"""
