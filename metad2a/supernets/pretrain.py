"""`metad2a pretrain`: a base network learns a large set of images, in a given time and resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from metad2a.supernets.images import Images, cropped, normalised, picked, resized
from metad2a.train.loop import Epoch, Loop, cosine

MEAN, SCALE = (122.4, 114.7, 101.6), (67.3, 65.7, 69.2)  # of Tiny-ImageNet's training images, 0..255


@dataclass(frozen=True)
class Pretraining:
    """How a base is pretrained.

    Attributes:
        hours: of wall time, with all validations; the schedule ends with them.
        sides: resolutions and from which progress on each is used. The last one is validated.
        mixed: bfloat16 where it is safe.
    """

    hours: float = 2.0
    sides: tuple[tuple[float, int], ...] = ((0.0, 32), (0.6, 40), (0.8, 48))
    batch: int = 128
    learning_rate: float = 0.2
    weight_decay: float = 3e-4
    smoothing: float = 0.05
    average: float = 0.999
    mixed: bool = True
    seed: int = 0

    def side(self, progress: float) -> int:
        """Resolution in pixels at a progress."""
        return [side for begin, side in self.sides if begin <= progress][-1]


def pretrain(
    network: nn.Module,
    images: Images,
    plan: Pretraining,
    *,
    checkpoint: Path,
    say: Callable[[str], None],
    every: float = 180.0,
    deadline: float = math.inf,
) -> Loop:
    """Trains the network on the training images; the averaged network is the result."""
    torch.manual_seed(plan.seed)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loop = Loop(
        network,
        optimiser(network, plan),
        seconds=3600 * plan.hours,
        schedule=cosine(0.04),
        seed=plan.seed,
        gradient_norm=5.0,
        average=plan.average,
        checkpoint=checkpoint,
        every=every,
    )
    places = np.flatnonzero(images.train)
    told = [time.monotonic()]

    def batches(generator: torch.Generator, first: int) -> Iterator[tuple[np.ndarray, int]]:
        order = torch.randperm(len(places), generator=generator).numpy()
        seeds = torch.randint(2**40, (len(order) // plan.batch,), generator=generator).tolist()
        for number in range(first, len(seeds)):
            if time.monotonic() - told[0] > 60:
                told[0] = time.monotonic()
                say(_where(loop, plan))
            yield np.sort(places[order[number * plan.batch : (number + 1) * plan.batch]]), seeds[number]

    def loss(model: nn.Module, batch: tuple[np.ndarray, int]) -> Tensor:
        chosen, seed = batch
        generator = torch.Generator().manual_seed(seed)
        x = normalised(cropped(picked(images.x, chosen), plan.side(loop.progress), generator), MEAN, SCALE)
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.mixed):
            logits = model(x)
        return nn.functional.cross_entropy(logits.float(), images.y[chosen], label_smoothing=plan.smoothing)

    def on_epoch(epoch: Epoch) -> None:
        assert loop.average is not None
        some = None if epoch.progress >= 1 or epoch.number % 5 == 0 else 2000
        percent = accuracy(loop.average, images, plan, some=some)
        line = f"epoch {epoch.number} loss {epoch.loss:.3f} accuracy {percent:.2f} on {some or 'all'}"
        say(f"{line}; {_where(loop, plan)}")

    loop.run(batches, loss, deadline=deadline, on_epoch=on_epoch)
    return loop


def _where(loop: Loop, plan: Pretraining) -> str:
    left = max(0.0, 3600 * plan.hours - loop.seconds) / 60
    mean = loop.total / max(1, loop.place)
    rate = loop.optimiser.param_groups[0]["lr"]
    return (
        f"step {loop.step}, progress {loop.progress:.3f}, {plan.side(loop.progress)} px, loss so far {mean:.3f}, "
        f"lr {rate:.4f}, {loop.step * plan.batch / max(1.0, loop.seconds):.0f} images/s, {left:.0f} min left"
    )


def optimiser(network: nn.Module, plan: Pretraining) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weights of convolutions and of the classifier alone decay."""
    decays = [p for p in network.parameters() if p.ndim > 1]
    stays = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decays, "weight_decay": plan.weight_decay}, {"params": stays, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=0.9, nesterov=True)


@torch.inference_mode()
def accuracy(network: nn.Module, images: Images, plan: Pretraining, *, some: int | None = None) -> float:
    """Percent of the images that are not for training, or of ``some`` spread among them."""
    held = np.flatnonzero(~images.train)
    if some is not None:
        held = held[:: max(1, len(held) // some)]
    network.eval()
    right = 0
    for chosen in np.array_split(held, -(-len(held) // 250)):
        x = normalised(resized(picked(images.x, chosen), plan.sides[-1][1]), MEAN, SCALE)
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.mixed):
            right += int((network(x).argmax(1) == images.y[chosen]).sum())
    return 100 * right / len(held)
