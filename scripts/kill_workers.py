"""Kills a service's processes at random moments, again and again, and counts what became of its jobs.

    python scripts/kill_workers.py --kills 100

Every accepted job must end as succeeded, or as failed with a reason; no record may be lost or doubled, and nothing may
be left running. The moments are drawn between nothing and twice the time that a job takes when nobody kills: a job
that is begun meets one kill in the mean. Prints the figures; the exit status tells whether all held.
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

VICTIMS = {"metad2a worker": 6, "service.job": 1, "metad2a --no-tracking serve": 3}  # words of a command line: weight
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
    begun = time.monotonic()
    asked = [training(service, dataset, draw, seed=0)]
    service.ended(asked[0], seconds=600)
    usual = time.monotonic() - begun
    print(f"a job takes {usual:.0f} s here", file=sys.stderr)
    killed: Counter[str] = Counter()
    while sum(killed.values()) < options.kills:
        live = [each for each in asked if service.job(each)["state"] in ("queued", "running")]
        for _ in range(options.jobs - len(live)):
            asked.append(training(service, dataset, draw, seed=len(asked)))
        time.sleep(draw.uniform(0, 2 * usual))
        victim = draw.choices(list(VICTIMS), list(VICTIMS.values()))[0]
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


def training(service: Processes, dataset: str, draw: random.Random, *, seed: int) -> str:
    """The id of a training that was asked for."""
    first, second, third = draw.choices(CELLS, k=3)
    cell = f"|{first}~0|+|{second}~0|{third}~1|+|skip_connect~0|none~1|none~2|"
    request = {"dataset": dataset, "architecture": cell, "recipe": "tiny", "seed": seed}
    return str(service.ask("/v1/trainings", request)["id"])


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
    print(f"jobs: {len(ended)} accepted, {dict(states)}; ended without a reason: {len(silent)}")
    for reason, count in Counter(str(each["reason"]) for each in ended if each["state"] != "succeeded").items():
        print(f"    {count} failed: {reason}")
    tries = Counter(int(str(each["attempts"])) for each in ended)
    print("attempts: " + ", ".join(f"{count} jobs took {tried}" for tried, count in sorted(tries.items())))
    lost, doubled = max(0, len(done) - len(keys)), len(records) - len(keys)
    print(f"records: {len(records)} of {len(done)} different trainings that succeeded: lost {lost}, doubled {doubled}")
    print(f"left running: {len(left)}")
    sound = not silent and not lost and not doubled and not left
    print("all held" if sound else "NOT all held")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
