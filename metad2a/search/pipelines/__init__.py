"""The search for whole pipelines, and what is usual there."""

from typing import Final

SPACE: Final = "pipeline"  # the name of the space
UP_TO = 128  # pixels a side that images keep, where they have them
USUAL_SECONDS = 60.0  # of a search, and of the training that a recommendation foretells
