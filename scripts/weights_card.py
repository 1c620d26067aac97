"""Writes the card of the pretrained weights that are shipped, from their headers and an evaluation of each.

    python scripts/weights_card.py

Needs the development data: all validation images of Tiny-ImageNet are classified at each resolution.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch

from databases.architectures.supernets.families import WEIGHTS, open_family
from metad2a.runtime.home import home, images_folder
from metad2a.supernets.images import open_images
from metad2a.supernets.make import evaluate
from metad2a.train.together import Together

DATA, SIDES = "tinyimagenet200_48px.npz", (32, 40, 48)
HEAD = """# Pretrained weights

`scripts/remake` has the commands of both. Those of their first trainings are the nearest to what was done: residual's
(2.05 hours at 32, 40, 48 px, 27,270 steps, 51.14% at 48 px) and the beginning of mobilenetv3's were made by the same
library functions, driven by a program of that day. What the lines below tell of training is the last of it, in which
random subnets learnt. This card is written by `python scripts/weights_card.py`. Half precision, statistics in single.

Data: all of Tiny-ImageNet, 100,000 training images of 200 classes at 48x48 pixels; the figures are on its 10,000
validation images. None was trained on, but one choice was made by looking at them: near the end of its first training
the accuracy of residual had fallen to 32%, since enlarged crops are blurrier than the images; for the last 9 minutes
crops were no longer enlarged and statistics were taken from whole training images. So its figure is not quite blind.

Terms: Tiny-ImageNet is a part of ImageNet, for non-commercial
research and education; weights learnt from it are shipped on those terms. The images are photographs of animals,
things and places: what looks otherwise (signs, scans, spectrograms) gains less.

Statistics fit one resolution and one sharpness: on your own images they may be better taken anew (`recalibrate`), or
not: let validation tell.
Of mobilenetv3 the file holds the base but for the outer places of its largest kernels in the last two stages, which see
little but the border of images of 48 px; the base is grown from it when it is opened and computes the same.
"""


def main() -> None:
    """Evaluates and writes."""
    torch.set_num_threads(1)
    here = Together(torch.device("cpu"))
    images = open_images(images_folder() / DATA, max(SIDES), home() / "pretrain", here)
    text = [HEAD]
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        base = open_family(path.stem)
        found = evaluate(base, images, SIDES, here)
        text += [f"## {path.stem}\n", *_rows(base.card, found, path.stat().st_size), ""]
    (WEIGHTS / "CARD.md").write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")


def _rows(card: Any, found: dict[int, float], size: int) -> Iterator[str]:
    accuracies = ", ".join(f"{percent:.2f}% at {side} px" for side, percent in found.items())
    yield f"- Accuracy on the validation images, statistics as shipped: {accuracies}."
    spent = f"; {card['cpu_hours']:.2f} CPU-hours of one core" if "cpu_hours" in card else ""
    yield f"- Trained {card['how']}{spent}; {card['steps']:,} steps."
    yield f"- {size / 1e6:.2f} MB; mean {card['mean']}, scale {card['scale']} on the 0..255 scale."
    yield "- Curve (epoch, loss, accuracy in percent at the last resolution of that training):"
    told = card["curve"][:: max(1, len(card["curve"]) // 12)]
    yield "  " + "; ".join(f"{epoch}: {loss:.2f}, {percent:.1f}" for epoch, loss, percent in told) + "."


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
