"""What is meant where nobody says, in commands, in Python and in the service. Imports nothing, since help is quick."""

from typing import Final

DEFAULT_SPACE: Final = "nasbench201"  # of networks
SEARCHED_SPACE: Final = "pipeline"  # of a search and of a recommendation
DEFAULT_SEARCHER: Final = "surrogate"
AUTOMATIC: Final = "auto"  # of groups, of augmentation and of where networks train: the data and the machine tell
TRAINING_RECIPE: Final = "small"  # of a network that is wanted
MEASURING_RECIPE: Final = "tiny"  # which most tasks of our own are measured by
USUAL_TRAININGS: Final = 3  # of a search, where neither their number nor a time is given
USUAL_SECONDS: Final = 60.0  # of a search for pipelines, and of the training that a recommendation foretells
LISTED: Final = 5  # of a recommendation's candidates
LOOKED_AT: Final = 20  # training images of a class
