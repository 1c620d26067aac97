"""The search for whole pipelines, and what is usual there."""

from typing import Final

SPACE: Final = "pipeline"  # the name of the space
USUAL_SECONDS = 60.0  # of a search, and of the training that a recommendation foretells
