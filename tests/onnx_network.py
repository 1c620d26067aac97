"""Runs an exported `model.onnx` as its users do, with onnxruntime alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from metad2a.export.onnx import INPUT, OUTPUT


class OnnxNetwork:
    """On one thread."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        told = self._session.get_modelmeta().custom_metadata_map
        self.classes: tuple[str, ...] = tuple(json.loads(told["classes"]))
        self.size, self.channels = int(told["size"]), int(told["channels"])

    def probabilities(self, images: Any) -> Any:
        """uint8 (n, size, size, channels) -> float (n, classes)."""
        return self._session.run([OUTPUT], {INPUT: images})[0]
