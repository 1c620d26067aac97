"""Classifies pictures with the network of a run, or of an exported folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from databases.datasets.decoding import read_picture, why_unreadable
from databases.datasets.file_kinds import ending_of, hidden, readable_formats
from databases.datasets.task import resize_images
from databases.errors import UserError
from metad2a.export.card import Card
from metad2a.export.export import load_exported
from metad2a.export.weights import WEIGHTS
from metad2a.search.runs import best_network
from metad2a.train.classifier import Classifier


@dataclass(frozen=True)
class Network:
    """A trained classifier and what its file says of it."""

    card: Card
    classifier: Classifier


@dataclass(frozen=True)
class Predicted:
    """A picture's likeliest class."""

    file: str
    name: str
    probability: float


def open_network(run: str) -> Network:
    """The best network of a run by its name, or of a folder that an export wrote.

    Raises:
        UserError: there is neither.
    """
    folder = Path(run)
    if (folder / WEIGHTS).is_file():
        exported = load_exported(folder)
        card, network = exported.card, exported.training.network
    else:
        card, training = best_network(run)
        network = training.network
    return Network(card, Classifier(network.eval(), card.blueprint, card.mean, card.scale, card.resolution))


def predictions(network: Network, paths: Iterable[Path], *, on_failure: Callable[[str], None]) -> Iterator[Predicted]:
    """The likeliest class of each picture; of a folder all in it and below that are called pictures.

    Raises:
        UserError: a path is not there.
    """
    card = network.card
    for file in _files(paths):
        try:
            image = read_picture(file.read_bytes(), px=card.sizes[0], channels=len(card.mean), white=card.white)
        except Exception as problem:  # a decoder raises whatever broken bytes make it raise
            on_failure(f"{file}: cannot be read ({why_unreadable(problem)})")
            continue
        logits = network.classifier.logits(resize_images(image[None], card.resolution))
        shares = torch.softmax(torch.from_numpy(logits) / card.temperature, 1)[0].numpy()
        best = int(np.argmax(shares))
        yield Predicted(str(file), card.class_names[best], float(shares[best]))


def rows_of(found: Iterable[Predicted]) -> Iterator[tuple[str, str, str]]:
    """Rows of a CSV file, headings first."""
    yield "file", "class", "probability"
    for each in found:
        yield each.file, each.name, f"{each.probability:.4f}"


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            endings = readable_formats()[1]
            inside = (each for each in sorted(path.rglob("*")) if not hidden(str(each.relative_to(path))))
            yield from (each for each in inside if ending_of(each.name) in endings and each.is_file())
        elif path.is_file():
            yield path
        else:
            raise UserError(f"given {str(path)!r}, which is not there: name pictures, or folders of them")
