"""Writes the model card from metad2a/weights/evaluation.json.

python scripts/write_card.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from metad2a.evaluate.model_card import model_card
from predictors import checkpoint

WEIGHTS = Path(__file__).parents[1] / "metad2a" / "weights"


def main() -> None:
    """Writes the file."""
    figures = json.loads((WEIGHTS / "evaluation.json").read_text(encoding="utf-8"))
    _, header = checkpoint.load(WEIGHTS / "meta.safetensors")
    (WEIGHTS / "MODEL_CARD.md").write_text(model_card(header, figures), encoding="utf-8")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    main()
