"""Pages over the call log: see a call, hear it, know why it failed; and call your own bot from the browser.

app        the routes, for the server to carry   (start here)
door       what the dashboard is given from outside, and what its routes share
api        the JSON API, which the pages and scripts use
documents  the shapes of its answers, made from overviews and timelines
access     who may look: login, sessions, and what a browser may be tricked into
masking    phone numbers and digits, hidden in whatever is shown
changes    server-sent events: which calls changed
recordings the outline and the levels of a recording
verdicts   the doctor's word on many calls, in short, for the list
probing    the live probe and the check of the account, step by step, and their reports
phone      the browser as a phone at the Telnyx simulator
replay     a past call once more, through the handler as it is now
dialling   orders a call, tells its outcome, hangs up: with a token of its own, or logged in
setup      what is still missing before real calls work
static/    the pages, built from web/ by `make web`
"""
