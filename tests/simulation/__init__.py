"""A call's life drawn from a seed, on a manual clock: sockets, handlers, commands, webhooks, files, the log and whole nodes
fail, and the promises of `checks.py` must hold all the same.

    world      Telnyx and the nodes: the server's own code, without sockets and HTTP
    life       draws a life from a seed, lives it
    checks     what must hold at each moment, and at the end
    many       the broken ones among many lives
    faults     old faults, put back one by one: the checks must find each
    __main__   python -m tests.simulation --seeds 100000; --seed 7 replays one; --faults puts the old faults back
"""
