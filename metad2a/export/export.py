"""A trained network as two files: weights that say what they are, and a `model.py` that runs them.

The weights are safetensors with a card in their header. `model.py` needs torch alone; it is written from a
template, so that it holds the network of exactly this cell.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from string import Template

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, nn

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import Architecture, image_space
from databases.architectures.spaces.nasbench201 import EDGES, OPERATIONS
from databases.datasets.pictures import FULL_SCALES
from databases.datasets.task import MAX_CLASSES, MAX_RESOLUTION, Task
from databases.errors import UserError
from databases.records.recipe import Recipe
from metad2a.train.training import Training

WEIGHTS, PROGRAM = "model.safetensors", "model.py"
FORMAT = 1
_MOST_CHANNELS, _MOST_CELLS = 4_096, 100  # what a header may ask for before the weights are looked at
_HEADER_LENGTH = 8  # bytes before a safetensors header, which tell its length


@dataclass(frozen=True)
class Card:
    """What the header of the weights says.

    Attributes:
        sizes: height and width in pixels to which images are brought one after the other: the task's, then
            the network's.
        mean, scale: (input channels,) normalisation of the images, 0..255.
        channels, cells: the network's width and cells a stage.
        white: the value that stood for white in the task's pictures of more than 8 bits; None: it had none.
        valid_accuracy, test_accuracy: percent; None where not measured.
        complete: whether training went to its end.
        train_seconds: wall time of training.
    """

    space: str
    architecture: str
    recipe: str
    seed: int
    task: str
    fingerprint: str
    class_names: tuple[str, ...]
    sizes: tuple[int, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    channels: int
    cells: int
    valid_accuracy: float | None
    test_accuracy: float | None
    complete: bool
    train_seconds: float
    white: int | None = None
    format: int = FORMAT

    @property
    def resolution(self) -> int:
        """Height and width that the network takes, in pixels."""
        return self.sizes[-1]

    def network(self) -> nn.Module:
        """The network without weights (on torch's "meta" device)."""
        skeleton = Skeleton(self.channels, self.cells, len(self.mean), len(self.class_names))
        cells = image_space(self.space)
        with torch.device("meta"):
            return cells.network(cells.parse(self.architecture), skeleton).eval()


@dataclass(frozen=True)
class Exported:
    """A trained network and where its two files are."""

    folder: Path
    card: Card
    training: Training

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.folder / WEIGHTS

    @property
    def program(self) -> Path:
        """The Python file that loads and runs the weights."""
        return self.folder / PROGRAM


def export(
    training: Training,
    *,
    task: Task,
    architecture: Architecture,
    recipe: Recipe,
    folder: Path,
    seed: int = 0,
    test_accuracy: float | None = None,
) -> Exported:
    """Writes `model.safetensors` and `model.py` into ``folder``, replacing them at once or not at all.

    ``task`` is the task before it was resized for the recipe. Raises UserError where nothing can be written.
    """
    card = describe(training, task=task, architecture=architecture, recipe=recipe, seed=seed)
    return save(training, replace(card, test_accuracy=test_accuracy), folder)


def describe(training: Training, *, task: Task, architecture: Architecture, recipe: Recipe, seed: int) -> Card:
    """The card of a training of ``task``, not yet tested."""
    return Card(
        space=architecture.space,
        architecture=str(architecture),
        recipe=recipe.name,
        seed=seed,
        task=task.name,
        fingerprint=task.fingerprint,
        class_names=task.class_names,
        sizes=tuple(dict.fromkeys((task.resolution, recipe.resolution))),
        mean=training.mean,
        scale=training.scale,
        channels=recipe.channels,
        cells=recipe.cells,
        valid_accuracy=training.valid_accuracy,
        test_accuracy=None,
        complete=training.complete,
        train_seconds=training.seconds,
        white=task.white,
    )


def save(training: Training, card: Card, folder: Path) -> Exported:
    """Writes the two files of a network whose card is known; see `export`."""
    content = {WEIGHTS: weights_file(training, card), PROGRAM: program(card).encode()}
    write_files(folder, content)
    return Exported(folder, card, training)


def load_exported(folder: Path) -> Exported:
    """Reads an exported network back; raises UserError where ``folder`` holds none that is whole."""
    card, training = load_weights(folder / WEIGHTS)
    return Exported(folder, card, training)


def weights_file(training: Training, card: Card) -> bytes:
    """The content of a safetensors file with the card in its header."""
    tensors = {name: value.contiguous() for name, value in training.network.state_dict().items()}
    header = {"format": "pt", "metad2a": json.dumps({**asdict(card), "resolution": card.resolution})}
    return bytes_of(tensors, metadata=header)


def load_weights(path: Path) -> tuple[Card, Training]:
    """Reads a file of `weights_file`; raises UserError where it is foreign, damaged or missing."""
    try:
        content = path.read_bytes()
        tensors = tensors_of(content)
        length = int.from_bytes(content[:_HEADER_LENGTH], "little")
        header = json.loads(content[_HEADER_LENGTH : _HEADER_LENGTH + length])
        card = _card(json.loads(header["__metadata__"]["metad2a"]))
        network = card.network()
        _compare(tensors, network.state_dict())
    except OSError as problem:
        raise UserError(
            f"cannot read {str(path)!r} ({problem.strerror}): name a folder that holds {WEIGHTS}"
        ) from problem
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as problem:
        reason = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise UserError(
            f"{str(path)!r} holds no network that this metad2a exported ({reason}): export it again"
        ) from problem
    network.load_state_dict(tensors, assign=True)
    accuracy, seconds = card.valid_accuracy, card.train_seconds
    return card, Training(network, card.mean, card.scale, accuracy, seconds, card.complete)


def _card(values: dict[str, object]) -> Card:
    """The card in a header; raises ValueError, KeyError or TypeError where it is none."""
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}, known is {FORMAT}")
    values.pop("resolution")
    lists = {name: _list(values, name) for name in ("class_names", "sizes", "mean", "scale")}
    card = Card(**{**values, **lists})  # type: ignore[arg-type]  # checked below
    whole = (card.seed, card.channels, card.cells, *card.sizes)
    texts = (card.space, card.architecture, card.recipe, card.task, card.fingerprint, *card.class_names)
    numbers = (*card.mean, *card.scale, card.train_seconds)
    accuracies = (each for each in (card.valid_accuracy, card.test_accuracy) if each is not None)
    sound = (
        all(type(each) is int for each in whole)
        and all(isinstance(each, str) for each in texts)
        and all(isinstance(each, float) and math.isfinite(each) for each in (*numbers, *accuracies))
        and isinstance(card.complete, bool)
        and (card.white is None or (type(card.white) is int and card.white in FULL_SCALES))
        and 2 <= len(card.class_names) <= MAX_CLASSES
        and len(card.mean) == len(card.scale)
        and len(card.mean) in (1, 3)
        and 1 <= len(card.sizes) <= 2
        and all(1 <= size <= MAX_RESOLUTION for size in card.sizes)
        and 1 <= card.channels <= _MOST_CHANNELS
        and 1 <= card.cells <= _MOST_CELLS
    )
    if not sound:
        raise ValueError("values in its header are impossible")
    return card


def _list(values: dict[str, object], name: str) -> tuple[object, ...]:
    value = values[name]
    if not isinstance(value, list):
        raise TypeError(f"{name} is no list")
    return tuple(value)


def _compare(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raises ValueError unless names, shapes and types of tensors agree."""
    for name in {**wanted, **given}:
        if name not in given or name not in wanted:
            raise ValueError(f"tensor {name!r} is {'missing' if name in wanted else 'too many'}")
        if (given[name].shape, given[name].dtype) != (wanted[name].shape, wanted[name].dtype):
            raise ValueError(f"tensor {name!r} has the wrong shape or type")


def program(card: Card) -> str:
    """The text of `model.py`."""
    template = Template((files("metad2a") / "templates" / "model.py.txt").read_text(encoding="utf-8"))
    groups = _cell(image_space(card.space).parse(card.architecture))
    literals = {name: _literal(value) for name, value in asdict(card).items()}
    cell = [f'    ("{name}", {start}, {ends!r}),' for name, start, ends in groups]
    literals |= {
        "cell": "\n".join(cell),
        "class_names": "\n".join(f"    {_literal(name)}," for name in card.class_names),
        "nodes": _literal(max(end for _, end in EDGES) + 1),
    }
    return template.substitute(literals)


def _literal(value: object) -> str:
    """Python's text for a value, in double quotes where nothing needs an escape; no name becomes code."""
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and not set(text) & set('"\\') else text


def _cell(architecture: Architecture) -> list[tuple[str, int, tuple[int, ...]]]:
    """Operation, from node, to nodes: in the order and grouping in which `Cell` holds its modules."""
    ends: dict[tuple[int, int], list[int]] = {}
    for choice, (start, end) in sorted(zip(architecture.walk, EDGES, strict=True), key=lambda edge: edge[1][0]):
        if OPERATIONS[choice] != "none":
            ends.setdefault((start, choice), []).append(end)
    return [(OPERATIONS[choice], start, tuple(group)) for (start, choice), group in ends.items()]


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes files under temporary names, then puts all in place; raises UserError where that fails."""
    drafts = {folder / name: folder / f".{name}.{os.getpid()}" for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for draft, content in zip(drafts.values(), contents.values(), strict=True):
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for target, draft in drafts.items():
            os.replace(draft, target)
    except OSError as problem:
        raise UserError(
            f"cannot write to {str(folder)!r} ({problem.strerror}): make room there or name another folder"
        ) from problem
    finally:
        with suppress(OSError):
            for draft in drafts.values():
                draft.unlink(missing_ok=True)
