"""The doctor: from a URL to the one root cause, or to proof that a call's audio would work.

engine.py    runs rules and folds the findings to one verdict; start reading here
examination.py  looks at a URL layer by layer, with controls after a failed step;  plan.py  what it would send
request.py   what is asked: the URL and the options of the command
probes/      look, layer by layer, each bounded in time; one file a probe
facts/       what was seen, raw; one frozen dataclass a probe
rules/       judge the facts; one file a cause, with every sign it is recognised by and examples as data
rule.py      what a cause, a sign and a finding are;  precedence.py  which cause is named first, and what it explains
answers.py   what an answer to the upgrade proves;  closings.py  what a stream's end does;  both for the rules
recorded.py  a call that was: the same from its timeline;  calls.py  what a timeline says, for the rules
logs/        the same from anybody's logs;  logged.py  the diagnosis of such a call
edges.py     what a platform's edge logged, for the rules
reasons.py   why the program itself ended something, in its own words, for the rules
account.py   the same for an account: how Telnyx and the host are set;  repair.py  what of it can be set right
accounts.py  what rules ask of an account's facts;  urls.py  two URLs, part by part
ourselves.py  what a callpath server says when it refuses;  no guess is needed then
platform.py  who wrote an answer: which proxy, framework or host;  refusals.py  edges, their names and their own pages
evidence.py  facts as JSON and back, to be judged again;  bundle.py  a ZIP of all that a bug report needs
reproduce.py  commands that show a finding without the doctor;  samples.py  the report on a cause's own example
verdict.py   the diagnosis;  report/  the same for people and as JSON
"""
