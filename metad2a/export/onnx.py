"""A found network as ONNX: one file that takes pictures and gives class probabilities, without torch.

Resizing, normalisation and softmax are in the graph, as they stand in the exported `model.py`; class names are in the
file's metadata. Needs the extra ``onnx``.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from databases.errors import UserError
from databases.hosting import lent
from metad2a.export.program import load_program
from metad2a.runtime.files import refuse_foreign, write_results

ONNX, INPUT, OUTPUT = "model.onnx", "images", "probabilities"
_EXAMPLES = 2  # images to trace with: of one alone the exporter would take the number for a constant


def check_packages() -> None:
    """Raises UserError where the packages of the extra are missing."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401 (torch's exporter wants it)
    except ModuleNotFoundError as problem:
        raise UserError(f"ONNX needs the package {problem.name}: run pip install 'metad2a[onnx]'") from problem


def export_onnx(folder: Path) -> Path:
    """Writes `model.onnx` beside the `model.py` and `model.safetensors` of a folder; takes some seconds.

    The graph takes ``images``: uint8 (batch, height, width, channels) of the size that the metadata tell, and gives
    ``probabilities``: float (batch, classes). Metadata: ``classes`` (JSON list), ``size``, ``channels``,
    ``architecture``, ``fingerprint``.

    Raises:
        UserError: the packages of the extra are missing, or the folder holds no exported network.
    """
    check_packages()
    import onnx

    refuse_foreign(folder, [ONNX])
    program = load_program(folder)
    with lent():  # the exporter draws random numbers
        model = onnx.load_model_from_string(_traced(program))
    told = {
        "classes": json.dumps(list(program.CLASS_NAMES)),
        "size": str(program.SIZES[0]),
        "channels": str(len(program.MEAN)),
        "architecture": f"{program.SPACE} {program.ARCHITECTURE}",
        "fingerprint": program.FINGERPRINT,
    }
    onnx.helper.set_model_props(model, told)
    onnx.checker.check_model(model)
    write_results(folder, {ONNX: model.SerializeToString()})
    return folder / ONNX


def _traced(program: ModuleType) -> bytes:
    """The graph of pictures to probabilities."""
    import io

    import torch
    from torch import Tensor, nn

    class Whole(nn.Module):
        """Pictures of one size in, probabilities out."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> Tensor:
            logits = self.network(program.prepare(images)) / program.TEMPERATURE
            shares: Tensor = logits.softmax(dim=1)
            return shares

    whole = Whole(program.load(Path(str(program.__file__)).parent)).eval()
    size, channels = program.SIZES[0], len(program.MEAN)
    example = torch.zeros((_EXAMPLES, size, size, channels), dtype=torch.uint8)
    content: Any = io.BytesIO()
    with _quiet(), torch.no_grad():
        exported = torch.onnx.export(
            whole,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            external_data=False,
            verbose=False,
        )
    assert exported is not None
    exported.save(content, external_data=False)
    found: bytes = content.getvalue()
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter from telling what it thinks of its own parts."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
