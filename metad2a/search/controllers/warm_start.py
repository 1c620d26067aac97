"""MetaD2A's generator as a searcher, and the warm start: a search that begins with what many datasets taught.

The generator (Lee, Hyung, Hwang, 2021) is the recurrent policy with the dataset's latent vector as context. As the
searcher ``generator`` it draws and learns nothing; as ``warm-start`` its weights are the first policy of a controller
that goes on learning, weights and context, from the trainings on the user's own dataset. The analogue in multitask
neural model search (Wong, Houlsby, Lu, Gesmundo, 2018) begins with a controller trained on other tasks' searches.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from databases.architectures.space import Space
from databases.errors import UserError
from metad2a.generate.decoder import GraphDecoder
from metad2a.search.controllers.controller import Setting
from metad2a.search.controllers.learning_rule import PROXIMAL, Rule
from metad2a.search.controllers.policy_gradient import PolicyGradient

if TYPE_CHECKING:
    from databases.datasets.features import TaskFeatures
    from metad2a.generate.generator import Generator

# Chosen on the tables of CIFAR-100 and ImageNet16-120; the entropy that suits a fresh policy undoes what was learnt.
WARM = replace(PROXIMAL, batch=5, entropy=0.003, draws=100, again=50)
STILL = replace(PROXIMAL, epochs=0)


def warm_start(
    space: Space, *, decoder: GraphDecoder, z: Tensor, seed: int = 0, rule: Rule = WARM, **options: Any
) -> PolicyGradient:
    """A policy that begins as a copy of a generator's ``decoder`` with the latent vector ``z`` (c,) and learns on."""
    if decoder.space.name != space.name:
        raise UserError(f"given the space {space.name!r}: the generator writes architectures of {decoder.space.name!r}")
    first = copy.deepcopy(decoder)
    return PolicyGradient(space, seed=seed, rule=rule, decoder=first, context=len(z), contexts=z[None], **options)


def generated(space: Space, *, decoder: GraphDecoder, z: Tensor, seed: int = 0, **options: Any) -> PolicyGradient:
    """The generator's draws by the latent vector ``z`` (latent,); it learns nothing."""
    return warm_start(space, decoder=decoder, z=z, seed=seed, rule=STILL, **options)


def from_generator(generator: Generator, task: TaskFeatures, *, recipe: str) -> dict[str, Any]:
    """What both searchers are made with for a task."""
    return {"decoder": generator.decoder, "z": generator.latent(task, recipe=recipe)}


def of_model(model: object, task: TaskFeatures | None, *, recipe: str) -> dict[str, Any]:
    """The same for a user's own task, by what a recommendation has seen of it.

    Raises:
        UserError: the model has no generator or knows no such recipe.
    """
    from metad2a.generate.generator import Generator

    generator = getattr(model, "generator", None)
    if not isinstance(generator, Generator) or task is None:
        raise UserError("given a model without a generator: choose another searcher, such as surrogate or evolution")
    return from_generator(generator, task, recipe=recipe)


def generator_options(space: Space, setting: Setting) -> dict[str, Any]:
    """The same of the shipped generator; raises `UserError` where the task has no images or the space none."""
    from metad2a.recommend.model import load
    from metad2a.search.controllers.meta_prediction import task_features

    model = load()
    if space.name != model.generator.config.space:
        raise UserError(f"given the space {space.name!r}: the generator knows {model.generator.config.space}")
    return from_generator(model.generator, task_features(setting), recipe=setting.recipe)
