"""Logs of platforms and of other people's programs: from lines to calls, their stages, and requests. Five passes, each
testable alone; start reading at reading.py, which runs them.

lines.py      bytes of any origin to lines, or rows of a JSON array, in bounded memory
record.py     one line on its way through the passes
unwrap.py     pass 1: what a platform put around a line comes off
parse.py      pass 2: what the application's logger wrote around its message comes off
access.py     access lines of edges, proxies and servers, as rows
times.py      every way of writing a time, and which of two times on a line counts
patterns.py   the table that says what a line is about, and what is only talk
prefilter.py  which lines can be passed over unread: what the patterns need in a text
ours.py       callpath's own lines, read back
attribute.py  pass 3: which call, which leg, which process a line belongs to
extract.py    pass 4: exchanges with Telnyx, exceptions, the program's own reasons
timeline.py   a call's lines as ordinary entries, which doctor/rules judge (pass 5)
telling.py    what the program itself says of a call, and its calls compared
reading.py    files in, calls and rows out
fetching.py   the same rows by a platform's API
picture.py    all of it on a page
"""
