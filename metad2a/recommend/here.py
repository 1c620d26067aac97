"""Training times of an answer on this machine: those that a meta-model tells are of the machine it was measured on."""

from __future__ import annotations

from dataclasses import replace

from databases.datasets.task import Task
from databases.records.recipe import RECIPES
from metad2a.recommend.recommendation import Candidate, Recommendation
from metad2a.train.train import seconds_a_step

BATCH = 32  # images of a timed step at most: of larger batches a step of large networks takes a second


def timed_here(answer: Recommendation, task: Task) -> Recommendation:
    """The answer with training times of this machine, by a few timed steps of its first network on one thread.

    The others take as much longer or shorter as they would have where the meta-model was measured. An answer without
    times, of a recipe that nobody trains by here, stays as it is. Timing takes a tenth of a second under the recipe
    ``tiny``, and one or two under ``standard``.
    """
    told, recipe = answer.best.expected_seconds, RECIPES.get(answer.recipe)
    if not told or recipe is None or recipe.published:
        return answer
    small = replace(recipe, batch=min(recipe.batch, BATCH))
    step = seconds_a_step(task.resized(recipe.resolution), answer.best.architecture, recipe=small, on="cpu")
    images = recipe.steps(task.train_images) * recipe.batch
    factor = images * step / small.batch / told

    def here(each: Candidate) -> Candidate:
        return replace(each, expected_seconds=each.expected_seconds and factor * each.expected_seconds)

    note = "training times are of one CPU thread of this machine, as busy as it is: a few steps of #1 were timed"
    return replace(
        answer,
        candidates=tuple(map(here, answer.candidates)),
        front=tuple(map(here, answer.front)),
        notes=(*answer.notes, note),
    )
