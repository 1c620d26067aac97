"""Shows that many images take little memory: seconds and the peak of all processes together, command by command.

    python scripts/large.py [--pictures 200000] [--place DIR] [--budget 300s]

Makes a folder of tiny pictures, all different, and an .npz file of 760 MB in a temporary folder, and takes both away at
the end. Memory is that of the command and all its processes: resident pages, those that several share counted by each
(RSS) or once (PSS). Linux only.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from databases.datasets.task import Task

CLASSES, WIDTH, HEIGHT, NPZ_BYTES, LARGE_SIDE = 10, 9, 8, 760 * 10**6, 256
LOOK_SECONDS = 0.25
MIB = 2**20


def make_pictures(folder: Path, count: int) -> None:
    """So many different pictures of 9x8 pixels (PPM, read at 32x32), each class a little brighter than the last."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir(parents=True)
    head = f"P6 {WIDTH} {HEIGHT} 255\n".encode()
    for start in range(0, count, 10_000):
        labels = np.arange(start, min(start + 10_000, count)) % CLASSES
        noise = rng.integers(0, 128, (len(labels), HEIGHT, WIDTH, 3))
        pixels = (noise + 12 * labels[:, None, None, None]).astype(np.uint8)
        for index, (label, each) in enumerate(zip(labels.tolist(), pixels, strict=True), start):
            (folder / f"class{label}" / f"{index}.ppm").write_bytes(head + each.tobytes())


def make_npz(path: Path) -> int:
    """An .npz file of that size with images of 32x32 pixels; returns how many."""
    count = NPZ_BYTES // (32 * 32 * 3)
    x = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    np.savez(path, x=x, y=np.arange(count) % CLASSES)
    return count


def train_on(data: str) -> None:
    """What `metad2a search` does before it ranks: reads all images; then an epoch of training on all."""
    from databases.datasets.loading import load_task
    from metad2a.runtime.home import picture_room

    begin = time.monotonic()
    task = load_task(data, room=picture_room())
    print(f"    {task.summary}, read in {time.monotonic() - begin:.0f} s", flush=True)
    print(f"    an epoch of a small network: {epoch(task, channels=4):.0f} s", flush=True)


def epoch(task: Task, *, channels: int) -> float:
    """Seconds of training on all training images once, and those of validation after it."""
    from databases.architectures.space import space
    from databases.records.recipe import Recipe
    from metad2a.train.train import train

    cell = space("nasbench201").parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    once = Recipe("once", channels=channels, cells=1, resolution=32, epochs=1, batch=128, learning_rate=0.1)
    begin = time.monotonic()
    train(task, cell, recipe=once, on="cpu")
    return time.monotonic() - begin


def rates() -> None:
    """What decoding pictures of usual size anew in every epoch would cost, beside training."""
    from PIL import Image

    from databases.datasets.decoding import decode
    from databases.datasets.task import Task

    rng = np.random.default_rng(0)
    contents = []
    for pixels in rng.integers(0, 256, (200, 16, 16, 3), dtype=np.uint8):
        picture = Image.fromarray(pixels).resize((LARGE_SIDE, LARGE_SIDE), Image.Resampling.BICUBIC)
        picture.save(content := io.BytesIO(), "JPEG", quality=90)
        contents.append(content.getvalue())
    begin = time.process_time()
    for each in contents:
        decode(each, 32)
    decoding = (time.process_time() - begin) / len(contents)
    x = rng.integers(0, 256, (2_000, 32, 32, 3), dtype=np.uint8)
    task = Task("noise", x, np.arange(2_000) % 2, np.zeros(2_000, dtype=np.uint8), ("a", "b"))
    epoch(task, channels=16)  # what is imported at first is not counted
    begin = time.process_time()
    epoch(task, channels=16)
    training = (time.process_time() - begin) / len(x)
    print(
        f"a JPEG of {LARGE_SIDE} px takes {1e3 * decoding:.2f} ms of a core to decode, an image {1e3 * training:.2f} "
        f"ms to train on once: decoded anew in each epoch, training takes {1 + decoding / training:.1f} times as long"
    )


def watched(title: str, *command: str) -> None:
    """Runs a command and prints its seconds and the most memory that it and its processes held."""
    begin, most, before = time.monotonic(), [0, 0], os.times()
    process = subprocess.Popen(command, stdout=None if "--train-on" in command else subprocess.DEVNULL)
    while process.poll() is None:
        most = [max(pair) for pair in zip(most, held(process.pid), strict=True)]
        time.sleep(LOOK_SECONDS)
    took, (rss, pss), after = time.monotonic() - begin, most, os.times()
    cores = after.children_user + after.children_system - before.children_user - before.children_system
    failed = f" (exit status {process.returncode})" if process.returncode else ""
    memory = f"at most {rss / MIB:,.0f} MiB RSS, {pss / MIB:,.0f} MiB PSS"
    print(f"{title}{failed}: {took:.0f} s ({cores:.0f} of a core), {memory}", flush=True)


def held(root: int) -> tuple[int, int]:
    """RSS and PSS in bytes of a process and all below it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    total, todo = [0, 0], [root]
    while todo:
        number = todo.pop()
        todo += children.get(number, [])
        try:
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for place, name in enumerate(("Rss:", "Pss:")):
            total[place] += sum(1024 * int(line.split()[1]) for line in lines if line.startswith(name))
    return total[0], total[1]


def measure(place: Path, pictures: int, budget: str) -> None:
    """All commands in a folder."""
    os.environ["METAD2A_HOME"] = str(place / "home")
    folder, npz = place / "pictures", place / "images.npz"
    this, command = (sys.executable, __file__), (sys.executable, "-m", "metad2a", "--no-tracking")
    begin = time.monotonic()
    make_pictures(folder, pictures)
    print(f"{pictures:,} pictures made in {time.monotonic() - begin:.0f} s", flush=True)
    watched("read and train", *this, "--train-on", str(folder))
    watched("the same again", *this, "--train-on", str(folder))
    watched("metad2a recommend", *command, "recommend", str(folder), "--json")
    if budget != "none":
        watched(f"metad2a search --budget {budget}", *command, "search", str(folder), "--budget", budget, "--json")
    for each in (place / "home" / "pictures").iterdir():
        each.unlink()
    print(f"an .npz file of {NPZ_BYTES / 1e6:.0f} MB with {make_npz(npz):,} images", flush=True)
    watched("read and train", *this, "--train-on", str(npz))
    watched("metad2a recommend", *command, "recommend", str(npz), "--json")
    rates()


def main() -> None:
    """Makes, measures and takes away."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--place", type=Path, help="where the temporary folder is made")
    parser.add_argument("--budget", default="300s", help="of the search, or none")
    parser.add_argument("--train-on", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.train_on:
        train_on(asked.train_on)
        return
    with tempfile.TemporaryDirectory(dir=asked.place) as place:
        measure(Path(place), asked.pictures, asked.budget)


if __name__ == "__main__":
    main()
