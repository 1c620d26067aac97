"""Kills a service's processes at random moments, again and again, and counts what became of its jobs.

    python scripts/kill_workers.py --kills 100

Every accepted job must end as succeeded, or as failed with a reason; no record may be lost or doubled, and nothing may
be left running. Prints the figures; the exit status tells whether all held.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]
from service_process import Processes, until  # noqa: E402
from service_world import pictures, zipped  # noqa: E402

from databases.records.store import Store  # noqa: E402

CELLS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def main() -> int:
    """Kills and counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=6, help="jobs that wait at any time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, Processes(Path(home)) as service:
        return run(service, options)


def run(service: Processes, options: argparse.Namespace) -> int:
    """Keeps some jobs waiting and kills worker, job or web process at random moments."""
    draw = random.Random(options.seed)
    service.serve()
    dataset = service.send(zipped(pictures(each=12)))
    asked: list[str] = []
    killed: Counter[str] = Counter()
    while sum(killed.values()) < options.kills:
        live = [each for each in asked if service.job(each)["state"] in ("queued", "running")]
        for _ in range(options.jobs - len(live)):
            first, second, third = draw.choices(CELLS, k=3)
            cell = f"|{first}~0|+|{second}~0|{third}~1|+|skip_connect~0|none~1|none~2|"
            request = {"dataset": dataset, "architecture": cell, "recipe": "tiny", "seed": len(asked)}
            asked.append(service.ask("/v1/trainings", request)["id"])
        time.sleep(draw.uniform(0.2, 6.0))
        victim = draw.choices(("metad2a worker", "service.job", "metad2a --no-tracking serve"), (6, 3, 1))[0]
        found = service.processes(victim)
        for process in found:
            os.kill(process, signal.SIGKILL)
        killed[victim] += bool(found)
        if victim.endswith("serve"):
            until(lambda: not service.processes("metad2a worker"), what="the end of the web process's worker")
            service.serve()
        print(f"{sum(killed.values())} kills, {len(asked)} jobs", file=sys.stderr)
    ended = [service.ended(each, seconds=600) for each in asked]
    return report(service, ended, killed)


def report(service: Processes, ended: list[dict[str, object]], killed: Counter[str]) -> int:
    """Prints what became of everything."""
    states = Counter(str(each["state"]) for each in ended)
    silent = [each["id"] for each in ended if each["state"] != "succeeded" and not each["reason"]]
    done = {(str(each["options"]), each["dataset"]) for each in ended if each["state"] == "succeeded"}
    with Store(service.home / "database.db") as store:
        records = store.records(source="user")
    keys = {each.key for each in records}
    left = service.processes("service.job")
    print(f"killed: {dict(killed)}")
    print(f"jobs: {dict(states)}; ended without a reason: {len(silent)}")
    print(f"records: {len(records)} (different: {len(keys)}), of {len(done)} trainings that succeeded")
    print(f"left running: {len(left)}")
    sound = not silent and len(records) == len(keys) >= len(done) and not left
    print("all held" if sound else "NOT all held")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
