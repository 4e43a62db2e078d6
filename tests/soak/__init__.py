"""Faults, restarts and hostile traffic in numbers: `python -m tests.soak`, or `make soak`.

Each figure is printed as `name value limit ok|FAIL`. A short version of every one runs with the tests, where only counts
decide and no time does.

measures   all of them by name, large and small (start here)
figures    one line of the report
node       `callpath serve` as a process that can be killed, and a sender of signed webhooks
traffic    webhooks without end, kill -9 under them, rolling restarts of two nodes
sockets    upgrades all at once, connections that do not speak
transfers  transfers and consults: many at once, and processes killed in the middle of them
calls      calls: many short ones, many at once, and a stop that cuts none
dials      kill -9 while calls are dialled
fuzz       mutated signatures, frames, webhooks, logs, requests and recordings
proxy      a TCP proxy that breaks connections on purpose
disk.c     a disk that fails on purpose, between SQLite and the kernel
"""
