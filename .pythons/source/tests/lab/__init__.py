"""The fault lab: real proxies, frameworks and networks set wrong on purpose, and the doctor run against each.

Start at `cases/`, where each case is a few lines. `bench.py` gives a case its address, directory and programs,
`software.py` has the proxies' configurations, `backends/` the apps; `runner.py` runs the doctor and judges it.
`python -m tests.lab` prints the table; `README.md` says how to add a case.
"""
