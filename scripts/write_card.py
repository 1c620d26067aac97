"""Writes the model card and the figures of the README from metad2a/weights/evaluation.json.

python scripts/write_card.py
"""

from __future__ import annotations

import json
from pathlib import Path

from metad2a.evaluate.card import card, tables
from predictors import checkpoint

WEIGHTS = Path(__file__).parents[1] / "metad2a" / "weights"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- figures: scripts/write_card.py -->", "<!-- end of figures -->"


def main() -> None:
    """Writes both files."""
    figures = json.loads((WEIGHTS / "evaluation.json").read_text(encoding="utf-8"))
    _, header = checkpoint.load(WEIGHTS / "meta.safetensors")
    (WEIGHTS / "MODEL_CARD.md").write_text(card(header, figures), encoding="utf-8")
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    text = "\n".join(tables(figures))
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
