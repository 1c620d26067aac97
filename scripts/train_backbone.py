"""Trains the frozen backbone on Tiny-ImageNet (32 px, and the 16 px copy with more images), 200 classes.

    python scripts/train_backbone.py [--epochs 10]

Killed, it goes on: its state lies under runs/backbone. Writes databases/datasets/backbone.safetensors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from databases.datasets.backbone import WEIGHTS, Backbone
from databases.files import write_files
from metad2a.runtime.home import images_folder
from metad2a.train.loop import Epoch, Loop, cosine

STATE = Path("runs/backbone/state.pt")
BATCH = 128
A_SET = 16_000  # images of each set in an epoch
WARM_UP = 200  # steps in which the learning rate rises
Batch = tuple[Tensor, Tensor]  # images and labels


def load(folder: Path) -> tuple[list[tuple[np.ndarray, np.ndarray]], tuple[np.ndarray, np.ndarray]]:
    """Training sets (32 px, 16 px with labels in the 200) and the test set, all (n, h, w, 3) uint8."""
    with (
        np.load(folder / "tinyimagenet200.npz") as big,
        np.load(folder / "tinyimagenet100_16px.npz") as small,
    ):
        number = {name: i for i, name in enumerate(big["wnids"].tolist())}
        labels = np.array([number[w] for w in small["wnids"].tolist()])[small["y_train"]]
        train = [(big["x_train"], big["y_train"].astype(np.int64)), (small["x_train"], labels)]
        return train, (big["x_test"], big["y_test"].astype(np.int64))


def batch_of(images: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Random flip and shift by up to four pixels, at 32 px, in 0..1."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    if x.shape[-1] != 32:
        x = nn.functional.interpolate(x, size=32, mode="bilinear")
    if rng.random() < 0.5:
        x = x.flip(-1)
    dy, dx = rng.integers(0, 9, 2)
    x = nn.functional.pad(x, [4] * 4, mode="reflect")[:, :, dy : dy + 32, dx : dx + 32]
    return x.contiguous(memory_format=torch.channels_last)


def evaluate(network: nn.Module, head: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """Top-1 accuracy in percent."""
    network.eval()
    right = 0
    with torch.inference_mode():
        for i in range(0, len(x), 500):
            batch = torch.from_numpy(x[i : i + 500]).permute(0, 3, 1, 2).float() / 255
            right += int((head(network(batch)).argmax(1).numpy() == y[i : i + 500]).sum())
    network.train()
    return 100 * right / len(y)


def rate(progress: float, steps: int) -> float:
    """Share of the learning rate: a short rise, and half a cosine over all steps."""
    return min(1.0, (round(progress * steps) + 1) / WARM_UP) * cosine()(progress)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10, help="passes of 32,000 images")
    epochs = parser.parse_args().epochs
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sets, (x_test, y_test) = load(images_folder())
    network = Backbone().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    head = nn.Linear(network.width, 200)
    both = nn.ModuleList([network, head])
    optimiser = torch.optim.SGD(both.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    a_set = A_SET // BATCH
    steps = epochs * 2 * a_set
    loop = Loop(both, optimiser, steps=steps, schedule=lambda progress: rate(progress, steps), checkpoint=STATE)

    def drawn() -> Iterator[Batch]:
        rng = np.random.default_rng([7, loop.epoch])
        picks = [rng.permutation(len(y))[:A_SET].reshape(a_set, BATCH) for _, y in sets]
        for step in range(2 * a_set):
            (x, y), chosen = sets[step % 2], picks[step % 2][step // 2]
            yield batch_of(x[chosen], rng), torch.from_numpy(y[chosen])

    def loss(both: nn.Module, batch: Batch) -> Tensor:
        x, y = batch
        return nn.functional.cross_entropy(head(network(x)), y, label_smoothing=0.1)

    def told(epoch: Epoch) -> None:
        top1 = evaluate(network, head, x_test, y_test)
        print(f"epoch {epoch.number}/{epochs} loss {epoch.loss:.3f} test {top1:.2f}% {epoch.seconds:.0f} s", flush=True)
        write(network, epochs=epoch.number, top1=top1)

    loop.run(lambda generator, first: islice(drawn(), first, None), loss, on_epoch=told)


def write(network: Backbone, *, epochs: int, top1: float) -> None:
    """Replaces the shipped weights, in half precision, at once."""
    trained_on = "tiny-imagenet (200 classes, 16,000 + 50,000 images)"
    header = {"trained_on": trained_on, "epochs": str(epochs), "top1": f"{top1:.2f}"}
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    write_files({WEIGHTS: save(tensors, {"metad2a": json.dumps(header)})})


if __name__ == "__main__":
    main()
