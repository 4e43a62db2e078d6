"""One call: what is legal, what is remembered. Pure: texts, entries and `now` go in; texts, events, commands come out.

session   the state of a call, folded from its timeline, and the commands that follow   (start here)
leg       one party's side; no transition goes backwards
stream    one audio WebSocket, sans I/O
playout   audio on its way to the ear: pacing, marks, clear
symptoms  what sounds or behaves wrong on a stream that works by the letter
echo      whether the caller's audio holds ours
recorder  both sides of a call on one clock
plan      what we ask of Telnyx for a call's audio
address   the two URLs of a call server
"""
