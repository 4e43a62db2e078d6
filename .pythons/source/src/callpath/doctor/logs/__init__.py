"""Logs of platforms and of other people's programs: from lines to calls, their stages, and the edge's rows.

reading.py   files in, calls and rows out; start reading here
lines.py     bytes of any origin to lines, or rows of a JSON array, in bounded memory
formats.py   a line of any make, unwrapped; the rows of edges and proxies
times.py     the time in a line against the platform's stamp on it
patterns.py  the table that says what a line is about, and what is only talk
ours.py      callpath's own lines, read back
calls.py     which lines are one call, and its timeline as ordinary entries
fetching.py  the same rows by a platform's API
picture.py   all of it on a page
"""
