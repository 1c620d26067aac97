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

EARLIER = {  # what the files' headers no longer tell: the trainings before the last, as their own headers told them
    "mobilenetv3": """\
- Before, hours of each process (5.2 in all with the last): the least slice 1.15 and 0.45; 1 in two processes with
  kernels of 3, 4,882 steps; 0.45 in two as it is now, 1,167 steps. Curves of the last three of these:
  1: 3.73, 19.5; 2: 3.71, 20.9; 3: 3.62, 23.1; 4: 3.52, 23.1; 5: 3.46, 23.7; 6: 3.37, 25.2; 7: 3.30, 25.9;
  8: 3.23, 26.9; 9: 3.08, 35.1; 10: 2.87, 34.8; 11: 2.78, 34.9 (32 px)
  | 1: 3.25, 28.7; 2: 3.31, 27.1; 3: 3.21, 29.4; 4: 3.06, 35.0; 5: 2.82, 37.2; 6: 2.64, 37.6; 7: 2.59, 38.1 (32 px)
  | 1: 2.76, 40.0; 2: 2.32, 41.1 (48 px).""",
    "residual": """\
- Before, 1.80 CPU-hours of one core (2.05 of wall time), 27,270 steps, 51.14% at 48 px (40: 40.73, 32: 33.77). Curve:
  1: 4.69, 1.0; 3: 3.76, 14.2; 5: 3.49, 24.4; 7: 3.33, 26.9; 9: 3.24, 26.4; 11: 3.18, 26.7; 13: 3.12, 27.1;
  15: 3.06, 27.9; 17: 2.98, 28.0; 19: 2.88, 28.6; 21: 2.80, 29.4; 23: 2.72, 29.9; 25: 2.68, 35.3; 27: 2.46, 37.0;
  29: 2.27, 37.5; 31: 2.11, 34.9; 33: 1.84, 32.3; 35: 1.62, 50.8.""",
}


def main() -> None:
    """Evaluates and writes."""
    torch.set_num_threads(1)
    here = Together(torch.device("cpu"))
    images = open_images(images_folder() / DATA, max(SIDES), home() / "pretrain", here)
    text = [HEAD]
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        base = open_family(path.stem)
        found = evaluate(base, images, SIDES, here)
        text += [f"## {path.stem}\n", *_rows(base.card, found, path.stat().st_size), EARLIER[path.stem], ""]
    (WEIGHTS / "CARD.md").write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")


def _rows(card: Any, found: dict[int, float], size: int) -> Iterator[str]:
    accuracies = ", ".join(f"{percent:.2f}% at {side} px" for side, percent in found.items())
    yield f"- Accuracy on the validation images, statistics as shipped: {accuracies}."
    yield f"- Trained {card['how']}; {card['steps']:,} steps."
    yield f"- {size / 1e6:.2f} MB; mean {card['mean']}, scale {card['scale']} on the 0..255 scale."
    yield "- Curve (epoch, loss, accuracy in percent at the last resolution of that training):"
    told = card["curve"][:: max(1, len(card["curve"]) // 12)]
    yield "  " + "; ".join(f"{epoch}: {loss:.2f}, {percent:.1f}" for epoch, loss, percent in told) + "."


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
