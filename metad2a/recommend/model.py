"""The public face: a dataset in, ranked architectures with expected accuracy, cost and reason out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from databases.architectures.space import Architecture, FiniteSpace, finite_space
from databases.datasets.features import TaskFeatures, extract
from databases.datasets.loading import load_task
from databases.datasets.task import Task, check_seed
from databases.errors import UserError, count
from databases.hosting import lent
from databases.records.recipe import PUBLISHED_SIZE, RECIPES, Recipe, foreign_recipe
from databases.usual import AUTOMATIC, LISTED, LOOKED_AT
from metad2a.generate.generator import Generator, GeneratorConfig
from metad2a.recommend.limits import NO_LIMITS, Limits
from metad2a.recommend.preference import for_device, on_device, usual_recipe
from metad2a.recommend.ranking import cheapest_equal_leads, ranked, reason, shape_told
from metad2a.recommend.recommendation import Candidate, Recommendation, as_shown
from metad2a.runtime.versions import versions
from predictors import checkpoint
from predictors.embedding import Embedding
from predictors.gain import Gain, behind_first, expected_gain
from predictors.graph_encoder import EncodedCells
from predictors.meta import FEWEST_TASKS, MetaConfig, MetaPredictor, Scores
from predictors.scale import NORMAL_80
from predictors.surrogates import Surrogate, unpack_surrogates
from predictors.task_distance import KnownTasks

__all__ = ["SHIPPED", "Candidate", "Candidates", "MetaD2A", "Recommendation", "load"]

Values = npt.NDArray[np.float64]
Candidates = Literal["generator", "all", "both"]
SHIPPED = Path(str(files("metad2a") / "weights" / "meta.safetensors"))
GENERATED = 500  # architectures drawn for a dataset
FEW_SEEN, COMPARED = 3, 100  # training images of a class; candidates whose differences to the first are told


class MetaD2A:
    """A meta-model ready to answer: generator, predictor, surrogates by recipe, known tasks and calibration.

    Get one by `load`. ``header`` is the checkpoint's header, ``weights`` the first 16 hex digits of its file's sha256.
    """

    def __init__(
        self,
        predictor: MetaPredictor,
        generator: Generator,
        known: KnownTasks,
        header: dict[str, Any],
        weights: str,
        surrogates: Mapping[str, Surrogate] | None = None,
        memory: Mapping[str, Values] | None = None,
    ) -> None:
        self.predictor, self.generator, self.known = predictor.eval(), generator.eval(), known
        self.surrogates = dict(surrogates or {})
        self.memory = dict(memory or {})  # recipe -> what its table says of each class beyond the predictor
        self.header, self.weights = header, weights

    @cached_property
    def card(self) -> str:
        """The model card: how these weights were made and what they reach."""
        return str(self.header.get("card", ""))

    def score(self, features: TaskFeatures, pool: Sequence[Architecture], *, recipe: str) -> Scores:
        """Logit accuracies of many architectures: by the recipe's surrogate, else by the meta-predictor."""
        if recipe not in self.surrogates:
            return self.predict(features, pool, recipe=recipe)
        found = self.surrogates[recipe].process.predict(features.statistics, self._numbers(pool))
        return Scores(found.mean, found.std)

    def predict(self, features: TaskFeatures, pool: Sequence[Architecture], *, recipe: str) -> Scores:
        """Logit accuracies by the meta-predictor, with what it remembers of the recipe's table."""
        scores = self.predictor.predict(features, pool, recipe=recipe)
        if recipe in self.memory:
            return replace(scores, mean=scores.mean + self.memory[recipe][self._numbers(pool)])
        return scores

    def embed(self, pool: Sequence[Architecture]) -> Values:
        """Embeddings of architectures, (n, d), in units of their spread over the space: alike where they are."""
        return self._embedding(self._numbers(pool))

    @cached_property
    def _embedding(self) -> Embedding:
        return Embedding.of_space(self.predictor)

    def _numbers(self, pool: Sequence[Architecture]) -> npt.NDArray[np.int64]:
        return np.array([self.predictor_space.class_number(each) for each in pool], dtype=np.int64)

    def level_known(self, recipe: str) -> bool:
        """Whether enough tasks were measured with the recipe to predict accuracies, not only their order."""
        if recipe in self.surrogates:
            return len(self.surrogates[recipe].names) >= FEWEST_TASKS
        return self.predictor.level_known(recipe)

    def reads_images(self, recipe: str) -> bool:
        """Whether the recipe's order of architectures depends on the images.

        Where only others have a surrogate it does not: Kendall's tau between the orders of unrelated datasets is 1.000
        under the recipes ``small`` and ``standard``, 0.997 under ``metad2a``; under ``tiny`` it is 0.5 to 0.6.
        """
        return recipe in self.surrogates or not self.surrogates

    def recipe(self, name: str) -> Recipe:
        """A recipe that this model knows, also a user's own; raises `UserError` that lists them all."""
        self.predictor.number(name)
        if name in RECIPES:
            return RECIPES[name]
        return foreign_recipe(name, *self.header.get("foreign_recipes", {}).get(name, PUBLISHED_SIZE))

    def nearest_recipe(self, wanted: Recipe) -> str:
        """The measured recipe whose network is nearest in size; of equals the one with most measurements."""
        known = self.predictor.config.recipes
        measured: dict[str, int] = self.header.get("architectures") or dict.fromkeys(known, 0)
        return min(measured, key=lambda n: (self.recipe(n).apart(wanted), -measured[n], known.index(n)))

    # long, since what can be asked and what is answered are a line each
    @lent()
    def recommend(
        self,
        data: str | Path | Task | tuple[np.ndarray, np.ndarray],
        *,
        top: int | None = LISTED,
        seed: int = 0,
        images_per_class: int = LOOKED_AT,
        candidates: Candidates = "both",
        recipe: str | None = None,
        limits: Limits = NO_LIMITS,
        groups: str | Path = AUTOMATIC,
        deadline: float = math.inf,
    ) -> Recommendation:
        """Ranks architectures for a dataset; trains nothing and writes nothing.

        Args:
            data: folder, zip, ``.npz``, ``sklearn:digits``, a pair of arrays, or a `Task`.
            top: how many to return, None for the whole ranking.
            seed: of the drawn images and architectures.
            images_per_class: how many training images of each class are looked at.
            candidates: the generator's draws, the whole space, or both (the space, draws marked as such).
            recipe: the training the accuracies hold for; by default `usual_recipe`'s.
            limits: what networks may cost, and the target device whose latencies are predicted: of the recipe's size,
                else of the device's, which a note tells; a limit on others than the recipe builds is refused.
            groups: what belongs together in data that are read here; see `load_task`.
            deadline: the monotonic second by which the images must be looked at.

        Raises:
            UserError: unusable data, an unknown option, limits that no candidate meets, or too little time.
        """
        _check(top, images_per_class, candidates, seed)
        known = {name: self.recipe(name) for name in self.predictor.config.recipes}
        recipe = recipe or usual_recipe(known, limits.target, by=(self.reads_images, self.level_known))
        chosen = self.recipe(recipe)
        target = limits.target and limits.target.of_size(chosen)
        if target is not None and limits.latency is not None:
            target.check_builds(chosen)
        task = data if isinstance(data, Task) else load_task(data, seed=seed, looking=True, groups=groups)
        features = extract(task, images_per_class=images_per_class, seed=seed, deadline=deadline)
        ranked = self._ranked(task, features, chosen, candidates, seed)
        offered = ranked if target is None else on_device(ranked, target)
        kept = limits.within(offered)
        gain = self._gain(features, kept, recipe, seed)
        fitting, equal = (kept, 1) if gain is None else cheapest_equal_leads(kept, gain)
        nearest, unlike = self.known.nearest(features)
        answer = Recommendation(
            candidates=tuple(fitting[:top]),
            recipe=recipe,
            nearest=tuple(nearest),
            unlike=unlike,
            seed=seed,
            fingerprint=task.fingerprint,
            weights=self.weights,
            reason=reason(gain, recipe, nearest, level_known=self.level_known(recipe), equal=equal, offered=len(kept)),
            same_for_all=not self.reads_images(recipe),
            expected_gain=gain,
            equal=equal,
            limit=self.known.limit,
            data=task.summary,
            notes=(*task.notes, *_rough(features), *self._same_order(recipe)),
            versions=versions(),
            features=features,
        )
        if target is not None:
            answer = for_device(answer, fitting, target, chosen, prefer=limits.prefer, top=top)
        answer = self._compared(answer, features)
        told = shape_told(answer.candidates[0].architecture, self.predictor_space)
        return replace(answer, reason=answer.reason + told)

    @property
    def predictor_space(self) -> FiniteSpace:
        """The space this model ranks."""
        return finite_space(self.predictor.config.space)

    def generate(
        self, features: TaskFeatures, *, recipe: str, seed: int = 0, count: int = GENERATED
    ) -> list[Architecture]:
        """Distinct canonical architectures among ``count`` draws for a dataset."""
        z = self.generator.latent(features, recipe=recipe)
        found = self.generator.generate(z, count, seed=seed)
        return list(dict.fromkeys(self.predictor_space.canonical(each) for each in found))

    def _ranked(
        self, task: Task, features: TaskFeatures, recipe: Recipe, candidates: Candidates, seed: int
    ) -> list[Candidate]:
        """All candidates of that kind without dead parts, best first."""
        live = self.predictor_space.live
        drawn = [] if candidates == "all" else self.generate(features, recipe=recipe.name, seed=seed)
        drawn = [each for each in map(live, drawn) if each is not None]
        given = drawn if candidates == "generator" else map(live, self.predictor_space.classes)
        pool = list(dict.fromkeys(each for each in given if each is not None))
        conformal, images = self.header.get("conformal", {}), task.train_images
        factor = float(conformal.get(recipe.name, {}).get("80", NORMAL_80))
        return ranked(
            pool,
            self.score(features, pool, recipe=recipe.name),
            drawn=set(drawn),
            space=self.predictor_space,
            recipe=recipe,
            skeleton=recipe.skeleton(input_channels=task.channels, classes=task.classes),
            factor=factor if self.level_known(recipe.name) else None,
            seconds=lambda flops: self._seconds(recipe, flops, images),
        )

    def _seconds(self, recipe: Recipe, flops: int, images: int) -> float | None:
        """Training time on one thread, from the measured seconds of a step per image and multiply-add."""
        cost = self.header.get("seconds_per_image_flop"), self.header.get("seconds_per_image")
        if cost[0] is None or cost[1] is None or recipe.published:
            return None
        return float(recipe.steps(images) * recipe.batch * (cost[0] * flops + cost[1]))

    def _gain(self, features: TaskFeatures, fitting: Sequence[Candidate], recipe: str, seed: int) -> Gain | None:
        """What choosing is worth, None where the level is unknown."""
        if recipe not in self.surrogates or not self.level_known(recipe):
            return None
        numbers = self._numbers([each.architecture for each in fitting])
        return expected_gain(self.surrogates[recipe].process, features.statistics, numbers, seed=seed)

    def _same_order(self, recipe: str) -> list[str]:
        """A note where nobody's images change the order."""
        if self.reads_images(recipe):
            return []
        readers = " and ".join(sorted(self.surrogates, reverse=True))
        return [f"under the recipe {recipe!r} the order is the same for all data; recipes that read them: {readers}"]

    def _compared(self, answer: Recommendation, features: TaskFeatures) -> Recommendation:
        """The answer whose first candidates say what they lack of the very first."""
        if answer.expected_gain is None:
            return answer
        process, listed = self.surrogates[answer.recipe].process, answer.candidates[:COMPARED]
        numbers = self._numbers([each.architecture for each in listed])
        found = behind_first(process, features.statistics, numbers, seed=answer.seed)
        told = [replace(each, behind=of) for each, of in zip(listed, found, strict=True)]
        return replace(answer, candidates=as_shown((*told, *answer.candidates[COMPARED:])))


def load(path: Path | str | None = None) -> MetaD2A:
    """The shipped meta-model, or the one at ``path``; raises `UserError` for an unusable file."""
    where = Path(path) if path is not None else SHIPPED
    tensors, header = checkpoint.load(where)
    try:
        encoded = EncodedCells(tensors["cells"], checkpoint.part(tensors, "predictor.graph"))
        with lent():
            predictor = MetaPredictor(MetaConfig.from_json(header["predictor"]), encoded)
            generator = Generator(GeneratorConfig.from_json(header["generator"]))
        for name, each in (("predictor", predictor), ("generator", generator)):
            each.load_state_dict(checkpoint.part(tensors, name))
        known = KnownTasks.from_header(header["known"], tensors["known.places"].numpy())
        surrogates = unpack_surrogates(tensors, header, predictor.eval())
        memory = {name: v.double().numpy() for name, v in checkpoint.part(tensors, "memory").items()}
    except (KeyError, TypeError, RuntimeError):
        raise UserError(f"{where} does not fit this version of metad2a: retrain it with `metad2a retrain`") from None
    beside = where.with_name("MODEL_CARD.md")
    header["card"] = beside.read_text(encoding="utf-8") if beside.is_file() else ""
    return MetaD2A(predictor, generator, known, header, checkpoint.digest(where), surrogates, memory)


def _rough(features: TaskFeatures) -> list[str]:
    """A note where so few images of a class were looked at that the figures mean little."""
    fewest = int(np.bincount(features.labels).min())
    if fewest >= FEW_SEEN:
        return []
    return [f"looked at only {count(fewest, 'training image')} of a class: the figures are rough"]


def _check(top: int | None, images_per_class: int, candidates: str, seed: int) -> None:
    check_seed(seed)
    if top is not None and top < 1:
        raise UserError(f"top {top}: give 1 or more, or all")
    if images_per_class < 1:
        raise UserError(f"images_per_class {images_per_class}: give 1 or more")
    if candidates not in ("generator", "all", "both"):
        raise UserError(f"unknown candidates {candidates!r}: choose one of generator, all, both")
