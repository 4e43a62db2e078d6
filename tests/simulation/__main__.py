"""`python -m tests.simulation --seeds 500`: live that many lives, and say what was promised and not kept."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.simulation.faults import find_all
from tests.simulation.kills import tell
from tests.simulation.life import draw, live
from tests.simulation.many import broken_lives, quiet
from tests.simulation.orders import SCRIPTS, broken_orders


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=500, help="how many lives")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=0, help="how many processes; 0: one for each processor")
    parser.add_argument("--seed", type=int, help="replay one life, and print its timeline")
    parser.add_argument("--faults", action="store_true", help="put the old faults back, one by one")
    parser.add_argument("--orders", type=int, help="play so many orders of the webhooks of transfers and consults")
    parser.add_argument("--kills", type=int, help="kill a process at so many moments of a transfer and of a consult")
    asked = parser.parse_args()
    quiet()
    if asked.kills is not None:
        return bool(tell(asked.kills))
    if asked.orders is not None:
        found = broken_orders(asked.orders, asked.first)
        print("\n".join(found), end="\n" if found else "")
        print(f"{asked.orders} orders of {len(SCRIPTS)} scripts from seed {asked.first}: {len(found)} broke a promise")
        return bool(found)
    if asked.faults:
        return bool(find_all())
    if asked.seed is not None:
        plan = draw(asked.seed)
        print(plan)
        found = asyncio.run(live(plan, show=True))
        print("\n".join(found) or "ok")
        return bool(found)
    failed = 0
    for seed, found in broken_lives(asked.first, asked.seeds, asked.jobs):
        failed += 1
        plan = draw(seed)
        print(f"seed {seed} ({plan.handler}, {plan.nodes} nodes): {'; '.join(found)}", flush=True)
    print(f"{asked.seeds} lives from seed {asked.first}: {failed} broke a promise")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
