"""The weights file: safetensors with the network's card in the header."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as bytes_of
from torch import Tensor, nn

from databases.errors import UserError
from metad2a.export.card import Card, read_card
from metad2a.train.training import Training

WEIGHTS = "model.safetensors"
_HEADER_LENGTH = 8  # bytes before a safetensors header, which tell its length
_LONGEST_HEADER = 100_000_000  # bytes: what safetensors allows


def weights_file(training: Training, card: Card) -> bytes:
    """The content of a safetensors file with the card in its header."""
    tensors = {name: value.contiguous() for name, value in training.network.state_dict().items()}
    return bytes_of(tensors, metadata={"format": "pt", "metad2a": json.dumps(card.plain())})


_FOREIGN = (  # what the header of a file from elsewhere may make us raise
    *(SafetensorError, ValueError, TypeError, AttributeError, RuntimeError),
    *(LookupError, ArithmeticError, AssertionError, MemoryError),
)


def card_in(path: Path) -> Card | None:
    """The card of a file of `weights_file`, whose tensors are left unread; None where it cannot be had."""
    try:
        with path.open("rb") as file:
            return _card(file)
    except (OSError, ModuleNotFoundError, *_FOREIGN):
        return None


def load_weights(path: Path) -> tuple[Card, Training]:
    """Reads a file of `weights_file`; raises UserError where it is foreign, damaged or missing."""
    try:
        content = path.read_bytes()
        tensors = tensors_of(content)
        card = _card(io.BytesIO(content))
        network = card.network()
        _compare(tensors, network.state_dict())
        if _answers(network) != len(card.class_names):
            raise ValueError(f"{len(card.class_names)} class names for {_answers(network)} answers")
    except OSError as problem:
        raise UserError(
            f"cannot read {str(path)!r} ({problem.strerror}): name a folder that holds {WEIGHTS}"
        ) from problem
    except ModuleNotFoundError as problem:
        raise UserError(
            f"the network in {str(path)!r} wants the package {problem.name}: pip install {problem.name}"
        ) from problem
    except _FOREIGN as problem:
        reason = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise UserError(
            f"{str(path)!r} holds no network that this metad2a exported ({reason}): export it again"
        ) from problem
    network.load_state_dict(tensors, assign=True)
    accuracy, seconds = card.valid_accuracy, card.train_seconds
    return card, Training(network, card.mean, card.scale, accuracy, seconds, card.complete)


def _card(file: BinaryIO) -> Card:
    """The card in the header of a safetensors file."""
    length = int.from_bytes(file.read(_HEADER_LENGTH), "little")
    header = json.loads(file.read(min(length, _LONGEST_HEADER)))
    return read_card(json.loads(header["__metadata__"]["metad2a"]))


def _answers(network: nn.Module) -> int:
    """How many classes a classifier tells apart: the width of its last linear layer."""
    return [each.out_features for each in network.modules() if isinstance(each, nn.Linear)][-1]


def _compare(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raises ValueError unless names, shapes and types of tensors agree."""
    for name in {**wanted, **given}:
        if name not in given or name not in wanted:
            raise ValueError(f"tensor {name!r} is {'missing' if name in wanted else 'too many'}")
        if (given[name].shape, given[name].dtype) != (wanted[name].shape, wanted[name].dtype):
            raise ValueError(f"tensor {name!r} has the wrong shape or type")
