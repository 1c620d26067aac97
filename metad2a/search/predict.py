"""Classifies pictures with the network of a run, or of an exported folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from databases.datasets.archives import Files, Folder, Zip
from databases.datasets.decoding import MAX_PICTURE_BYTES, read_picture, why_unreadable
from databases.datasets.file_kinds import UNREAD_PICTURES, ending_of, hidden, readable_formats, remedy, told_of
from databases.datasets.names import some
from databases.datasets.scale import may_be_darker
from databases.datasets.task import Images
from databases.errors import Say, UserError, count
from metad2a.export.card import Card
from metad2a.export.export import load_exported
from metad2a.export.weights import WEIGHTS
from metad2a.search.runs import best_network
from metad2a.train.classifier import Classifier
from metad2a.train.training import Training

BATCH = 64  # pictures that are classified together: of any number no more are held in memory
Read: TypeAlias = Callable[[], bytes]
ARRAYS = {".npz", ".npy"}


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
        card, training = _of_run(run)
        network = training.network
    return Network(card, card.classifier(network.eval()))


def _of_run(run: str) -> tuple[Card, Training]:
    try:
        return best_network(run)
    except UserError:
        if not run or not Path(run).exists():
            raise
    what = "a folder without" if Path(run).is_dir() else "a file, not a folder with"
    raise UserError(f"given {run!r}, {what} {WEIGHTS}: name a run, or a folder that an export wrote")


def predictions(
    network: Network, paths: Iterable[Path], *, on_failure: Say, on_note: Say = lambda line: None
) -> Iterator[Predicted]:
    """The likeliest class of each picture; of a folder or a zip all in it and below that are called pictures.

    What is passed over there, files of several pictures, and pictures that may be of another range, are noted.

    Raises:
        UserError: a path is not there, holds no picture, or is an array.
    """
    card, pictures = network.card, _read(network.card, paths, on_failure, on_note)
    while batch := list(islice(pictures, BATCH)):
        logits = network.classifier.logits(np.stack([pixels for _, pixels in batch]))
        shares = torch.softmax(torch.from_numpy(logits) / card.temperature, 1).numpy()
        for (name, _), each in zip(batch, shares, strict=True):
            best = int(np.argmax(each))
            yield Predicted(name, card.class_names[best], float(each[best]))


def rows_of(found: Iterable[Predicted]) -> Iterator[tuple[str, str, str]]:
    """Rows of a CSV file, headings first."""
    yield "file", "class", "probability"
    for each in found:
        yield each.file, each.name, f"{each.probability:.4f}"


def _read(card: Card, paths: Iterable[Path], on_failure: Say, on_note: Say) -> Iterator[tuple[str, Images]]:
    """Name and pixels of each picture that can be read, all of one size; what is odd about some is noted at the end."""
    several, clear, dark = list[str](), list[str](), dict[int, dict[str, float]]()
    for name, read in _pictures(paths, on_failure, on_note):
        try:
            found = read_picture(read(), px=card.sizes[0], channels=len(card.mean), white=card.white)
        except Exception as problem:  # a decoder raises whatever broken bytes make it raise
            on_failure(f"{name}: cannot be read ({why_unreadable(problem)})")
            continue
        several += [name] if found.more else []
        clear += [name] if found.clear else []
        if found.dark:
            dark.setdefault(found.white, {})[name] = found.dark
        yield name, found.pixels
    if several:
        on_note(
            f"took the first of several pictures in {count(len(several), 'file')} (frames, or pages): {some(several)}"
        )
    if clear:
        on_note(f"took {count(len(clear), 'picture')} as white, transparent all over: {some(clear)}")
    for white, tops in dark.items():
        on_note(f"took {count(len(tops), 'picture')} {may_be_darker(max(tops.values()), white)}: {some(tops)}")


def _pictures(paths: Iterable[Path], on_failure: Say, on_note: Say) -> Iterator[tuple[str, Read]]:
    """Name and content of each picture."""
    for path in paths:
        ending = ending_of(path.name)
        if path.is_dir():
            yield from _inside(path, Folder(path), on_failure, on_note)
        elif not path.is_file():
            why = "a socket, pipe or device and no file" if path.exists() else "which is not there"
            raise UserError(f"given {str(path)!r}, {why}: name pictures, or folders or zips of them")
        elif ending == ".zip":
            with closing(Zip(path)) as files:
                yield from _inside(path, files, on_failure, on_note)
        elif ending in ARRAYS:
            raise UserError(
                f"given {str(path)!r}, an array, whose images have no names; allowed are pictures, folders and zips: "
                "the exported model.py takes arrays, by load().predict(images)"
            )
        else:
            yield str(path), path.read_bytes


def _inside(path: Path, files: Files, on_failure: Say, on_note: Say) -> Iterator[tuple[str, Read]]:
    """The pictures below a folder or in a zip, by name; what looks like one and cannot be read is told."""
    endings = readable_formats()[1]
    names = sorted(name for name in files.names if not hidden(name))
    pictures = [name for name in names if ending_of(name) in endings]
    unread = [name for name in names if ending_of(name) in UNREAD_PICTURES - endings]
    if not pictures and not unread:
        raise UserError(f"given {str(path)!r}, in which there is no picture: name pictures, or folders or zips of them")
    for name in unread:
        on_failure(f"{path}/{name}: cannot be read ({remedy([name])})")
    for name, reason in files.lost:
        on_failure(f"{path}/{name}: leads to no file ({reason})")
    if others := sorted({*files.names} - {*pictures, *unread}):
        on_note(f"ignored {told_of(others)} in {path} (hidden, or no pictures by their names): {some(others)}")
    for name in pictures:
        yield f"{path}/{name}", partial(files.read, name, most=MAX_PICTURE_BYTES)
