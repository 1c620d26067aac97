"""The whole way from images to a classifier as one decision graph: weights, resolution, training, rate, subnet.

What is decided for a new dataset is not a cell but a pipeline: which pretrained weights to begin with (or none), at
which resolution, which part to train and how fast, and how much of the network to keep (choosing model and fine-tuning
together: Arango, Ferreira, Kadra, Hutter, Grabocka, 2024). The choices branch: weights have resolutions of their own, a
probe has no learning rate, and histograms of gradients have nothing to train.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from databases.architectures.decisions import Branch, Decision, states
from databases.architectures.decisions import Sequence as Parts
from databases.architectures.space import SPACES, Architecture, ImageSpace, Space, image_space
from databases.architectures.typed_graph import GraphBatch, TypedNode

RESOLUTIONS = {  # of images, in pixels; which weights are worth which
    "scratch": ("32px", "48px", "64px", "96px", "128px"),
    "hog": ("32px", "64px", "128px"),
    "own": ("32px", "48px", "64px"),
    "lite0": ("64px", "96px", "128px"),
    "other": ("64px", "96px", "128px"),  # any pretrained network of the user's
}
WHOLE = ("hog", "other")  # of which nothing can be left out
TRAININGS = ("probe", "head", "half", "all")
RATES = ("rate0.01", "rate0.03", "rate0.1")
SUBNETS = ("whole", "slim", "short", "slim-short")
PROBE = "probe"  # the recipe of one; a fine-tuning's names its steps
_RECIPE = re.compile(r"(\d+)-steps(-anew)?")


@dataclass(frozen=True)
class Pipeline:
    """One walk, read.

    Attributes:
        weights: a key of `RESOLUTIONS`. resolution: side of the images, in pixels.
        training: "probe" (a linear layer on frozen features), or what is fine-tuned: "head", "half", "all".
        learning_rate: of fine-tuning; None for a probe.
        slim, short: whether half of the hidden channels, and the last blocks of each stage, are left out.
    """

    weights: str
    resolution: int
    training: str
    learning_rate: float | None = None
    slim: bool = False
    short: bool = False

    def __str__(self) -> str:
        return " ".join(self.words())

    def words(self) -> tuple[str, ...]:
        """The choices that were met, in order."""
        if self.weights == "hog":
            return ("hog", f"{self.resolution}px")
        subnet = (
            "slim-short" if self.slim and self.short else "slim" if self.slim else "short" if self.short else "whole"
        )
        trained = () if self.weights == "scratch" else (self.training,)
        rate = () if self.learning_rate is None else (f"rate{self.learning_rate:g}",)
        kept = () if self.weights in WHOLE else (subnet,)
        return (self.weights, f"{self.resolution}px", *trained, *rate, *kept)

    def recipe(self, steps: int) -> str:
        """What a record says of so many steps, as a search takes them unless told otherwise; none are a probe's.

        Our weights are tuned with statistics anew.
        """
        return f"{steps}-steps{'-anew' if self.weights == 'own' else ''}" if steps else PROBE

    def steps(self, recipe: str) -> int:
        """The steps of such a recipe; 0: it is another."""
        found = _RECIPE.fullmatch(recipe)
        return int(found[1]) if found and recipe == self.recipe(int(found[1])) else 0


def _program() -> Branch:
    rate, subnet = Decision("learning rate", RATES), Decision("subnet", SUBNETS)
    trained = Branch.of("training", {each: Parts(() if each == "probe" else (rate,)) for each in TRAININGS})
    rest: dict[str, Parts] = {"scratch": Parts((rate, subnet)), "hog": Parts(()), "other": Parts((trained,))}
    return Branch.of(
        "weights",
        {
            name: Parts((Decision(f"resolution of {name}", sizes), rest.get(name, Parts((trained, subnet)))))
            for name, sizes in RESOLUTIONS.items()
        },
    )


class PipelineSpace(Space):
    """Architectures as ``own 32px all rate0.03 whole``."""

    name = "pipeline"
    node_types = (
        *("padding", "output", "input", *RESOLUTIONS),
        *dict.fromkeys(size for sizes in RESOLUTIONS.values() for size in sizes),
        *(*TRAININGS, *RATES, *SUBNETS),
    )
    example = "own 32px all rate0.03 whole"
    program = _program()
    ranked = True
    up_to = 128

    def pipeline(self, architecture: Architecture) -> Pipeline:
        """What a walk says."""
        words = self._words(architecture)
        subnet = words[-1] if words[-1] in SUBNETS else "whole"
        rates = [float(word.removeprefix("rate")) for word in words if word in RATES]
        trained = [word for word in words if word in TRAININGS]
        usual = "all" if words[0] == "scratch" else "probe"
        return Pipeline(
            weights=words[0],
            resolution=int(words[1].removesuffix("px")),
            training=trained[0] if trained else usual,
            learning_rate=rates[0] if rates else None,
            slim="slim" in subnet,
            short="short" in subnet,
        )

    def of(self, pipeline: Pipeline) -> Architecture:
        """The walk of a pipeline; raises `UserError` where the graph does not offer it."""
        return self.parse(str(pipeline))

    def text(self, architecture: Architecture) -> str:
        """The choices as words."""
        return " ".join(self._words(architecture))

    def parse(self, text: str) -> Architecture:
        """Reads `text`; raises `UserError` on anything else."""
        state, walk = self.start(), list[int]()
        for word in text.split(" "):
            options = () if state.decision is None else state.decision.options
            if word not in options:
                raise self.refuse(text)
            walk.append(options.index(word))
            state = state.take(walk[-1])
        return self.written(text, tuple(walk))

    def key(self, architecture: Architecture) -> str:
        """The text: no two walks say the same."""
        return self.text(architecture)

    def not_by(self, architecture: Architecture, recipe: str) -> str:
        """A probe has a recipe of its own; those of fine-tunings tell their steps."""
        pipeline = self.pipeline(architecture)
        if recipe == PROBE if pipeline.learning_rate is None else pipeline.steps(recipe):
            return ""
        allowed = PROBE if pipeline.learning_rate is None else f"{pipeline.recipe(400)} for 400 steps of training"
        return f"given the recipe {recipe!r} for the pipeline {str(pipeline)!r}; give {allowed}"

    def graphs(self, architectures: Sequence[Architecture]) -> GraphBatch:
        """A row: input, the choices in order, output."""
        return GraphBatch.of([self._graph(each) for each in architectures], self.node_types, 2 + _LONGEST)

    def _graph(self, architecture: Architecture) -> list[TypedNode]:
        names = ("input", *self._words(architecture), "output")
        return [(name, [place - 1] if place else []) for place, name in enumerate(names)]

    def _words(self, architecture: Architecture) -> tuple[str, ...]:
        met = zip(states(self.program, architecture.walk), architecture.walk, strict=True)
        return tuple(state.decision.options[choice] for state, choice in met if state.decision is not None)


_LONGEST = 5  # choices of a walk
PIPELINE = PipelineSpace()


def holds_pipelines(name: str) -> bool:
    """Whether the space of that name, where there is one, says the whole way from images to a classifier."""
    return isinstance(SPACES.get(name), PipelineSpace)


def searched_space(name: str) -> ImageSpace | PipelineSpace:
    """The space of that name whose networks, or pipelines, are searched; raises `UserError` that lists the known."""
    found = SPACES.get(name)
    return found if isinstance(found, PipelineSpace) else image_space(name, beside=[PIPELINE.name])
