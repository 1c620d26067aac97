"""`MetaD2AClassifier`: the loop of `metad2a search` in one line, as scikit-learn's estimators are used.

>>> MetaD2AClassifier(max_time=30).fit(x, y).predict(x)
"""

from __future__ import annotations

import math
import time
import warnings
from pathlib import Path
from types import NoneType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from databases.architectures.space import Space
from databases.architectures.spaces.pipeline import PIPELINE, PipelineSpace, searched_space
from databases.datasets.arrays import Kind, kind_of_images, more_images, scale_told
from databases.datasets.cautions import Caution
from databases.datasets.conversion import is_one_hot, missing, plain_array
from databases.datasets.loading import load_task
from databases.datasets.task import VALIDATION, Task, resize_images
from databases.datasets.wide import wide_told
from databases.errors import UserError
from databases.hosting import importing, own_ways
from databases.records.store import Store
from databases.usual import AUTOMATIC, DEFAULT_SEARCHER, TRAINING_RECIPE, USUAL_SECONDS
from metad2a.recommend import model as recommend
from metad2a.runtime.home import database_path
from metad2a.runtime.place import Place
from metad2a.search.budget import check_seconds
from metad2a.search.pipelines.search import PipelineResult, search_pipelines
from metad2a.search.result import SearchResult
from metad2a.search.search import search
from metad2a.supernets.also import open_also
from metad2a.train.inference import predictions

MOST_SEED = 2**31 - 1
KINDS: dict[str, tuple[tuple[type, ...], str]] = {  # what is checked nowhere below
    **dict.fromkeys(("space", "augment", "recipe", "searcher", "on"), ((str,), "a text")),
    "model": ((str, Path, NoneType), "the path of a file, or None"),
    "stop_early": ((bool, np.bool_), "True or False"),
}


class MetaD2AClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # published without types
    """Finds, trains and applies the network that fits labelled images.

    A fifth of the images, at most 10,000, is for validation, which picks among the trainings. The same `fit` goes on
    where an earlier one was stopped, and trains nothing twice: what it trained lies in the home folder, as that of
    `metad2a search`. Where two processes fit the same images at once, as a grid search does, one waits for the other's
    trainings.

    Args:
        max_time: seconds that `fit` may take; None: 60 in the space of pipelines, elsewhere no limit.
        space: ``pipeline`` (pretrained weights, resolution and fine-tuning are chosen), or a space of networks that are
            trained from scratch, such as ``nasbench201``. All between ``also`` and the last has a meaning there only.
        augment: what to do to training images: ``auto`` shifts them, and mirrors them where validation images keep
            their class; ``none``, ``shift``, ``flip`` (both).
        also: a pretrained network of your own that competes too (pipeline): ``timm:NAME``, ``timm:NAME@FILE`` with its
            weights in a file (extra ``timm``), or a file that ``metad2a pretrain`` wrote.
        trials: how many networks to train at most; None: as many as ``max_time`` allows, without it 3.
        recipe: how to train, such as ``tiny``, ``small`` or ``standard``.
        searcher: what asks for the next network: ``surrogate``, ``zero-shot``, ``random``, ``evolution``, ...
        stop_early: give trainings up whose learning curve is hopeless.
        on: where networks are trained, ``auto`` (CUDA, then MPS, then the CPU), or one of torch's names.
        model: file of a meta-model; None: the shipped one.
        random_state: an integer, a numpy RandomState, or None for another seed each time.

    Attributes:
        classes_: (classes,) the labels, sorted.
        architecture_: text of the best architecture.
        valid_accuracy_: its accuracy in percent on the images held out for validation.
        network_: the trained network, a `torch.nn.Module`.
        notes_: what a search tells of the images: which value was taken for white, what was changed, and what makes
            accuracies say less, such as classes that are imbalanced; of all that is odd `fit` warns, too.
        result_: all that the search tells: every training, and the folder with the exported model.
    """

    def __init__(
        self,
        max_time: float | None = None,
        *,
        space: str = PIPELINE.name,
        augment: str = AUTOMATIC,
        also: str | None = None,
        trials: int | None = None,
        recipe: str = TRAINING_RECIPE,
        searcher: str = DEFAULT_SEARCHER,
        stop_early: bool = True,
        on: str = AUTOMATIC,
        model: str | Path | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.max_time, self.space, self.augment, self.also = max_time, space, augment, also
        self.trials, self.recipe, self.searcher = trials, recipe, searcher
        self.stop_early, self.on, self.model, self.random_state = stop_early, on, model, random_state

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Searches for images (n, h, w), (n, h, w, c) or (n, c, h, w), 0..1 or 0..255, and labels (n,).

        Labels are whole numbers, also as floats, texts or booleans; `predict` gives them back as they were.

        Raises:
            UserError: (a ValueError) unusable images or labels, or impossible parameters.
        """
        begun, seed = time.monotonic(), self._seed()
        for name, (kinds, allowed) in KINDS.items():
            if not isinstance(getattr(self, name), kinds):
                raise UserError(f"given {name}={getattr(self, name)!r}; allowed is {allowed}; give that")
        for note in wide_told(X, given="X"):
            warnings.warn(note, stacklevel=2)
        images, (classes, numbers) = plain_array(X), _labels(y)
        chosen = searched_space(self.space)
        task = _task(images, classes, numbers, seed=seed, up_to=chosen.up_to)
        told, odd = scale_told(images, given="X")
        for note in (*odd, *(each for each in task.notes if isinstance(each, Caution))):
            warnings.warn(note, stacklevel=2)
        kind = kind_of_images(images, task.images, given="X")
        brightest = max(range(len(images)), key=lambda index: images[index].max())  # alone a dark one may be refused
        # what `predict` does first: refused now rather than after the search
        more_images(images[brightest : brightest + 1], kind, given="X", quiet=True)
        with own_ways():
            result = self._searched(chosen, task, begun, seed)
        self.classes_, self.result_ = classes, result
        self.architecture_, self.valid_accuracy_ = str(result.best), result.valid_accuracy
        self.network_ = result.exported.training.network
        self.notes_: tuple[str, ...] = (*told, *(each for each in task.notes if f"X: {each}" not in told))
        self._kind: Kind = kind
        return self

    def _searched(self, chosen: Space, task: Task, begun: float, seed: int) -> PipelineResult | SearchResult:
        patience = math.inf
        if self.max_time is not None:
            check_seconds(self.max_time)
            patience = self.max_time  # another fit of the same images
        with Store(database_path()) as store:
            if isinstance(chosen, PipelineSpace):
                self._warn_of_networks()
                return self._pipeline(task, store, begun, seed, patience)
            if self.also is not None:
                raise UserError(f"given also={self.also!r} with space={self.space!r}: it means something in 'pipeline'")
            return search(
                recommend.load(self.model),
                task,
                store=store,
                train=self.trials,
                seconds=self.max_time,
                recipe=self.recipe,
                searcher=self.searcher,
                space=chosen.name,
                stop_early=bool(self.stop_early),
                augment=self.augment,
                seed=seed,
                place=Place(self.on),
                begun=begun,
                patience=patience,
            )

    def _pipeline(self, task: Task, store: Store, begun: float, seed: int, patience: float) -> PipelineResult:
        return search_pipelines(
            task,
            seconds=USUAL_SECONDS if self.max_time is None else self.max_time,
            augment=self.augment,
            seed=seed,
            begun=begun,
            patience=patience,
            also=None if self.also is None else open_also(self.also, channels=task.channels),
            store=store,
        )

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Probabilities of the classes in the order of ``classes_``: images as for `fit` -> (n, classes)."""
        check_is_fitted(self)
        images = more_images(X, self._kind, given="X")
        exported = self.result_.exported
        for px in exported.card.sizes:
            images = resize_images(images, px)
        logits = predictions(exported.training, images).astype(np.float64) / exported.card.temperature
        found: npt.NDArray[np.float64] = softmax(logits, axis=1)
        return found

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """The most probable label of each image, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        found: npt.NDArray[Any] = self.classes_[best]
        return found

    def score(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
        """Share of the images whose label is predicted; labels of every kind that `fit` takes."""
        with importing():  # scikit-learn's metrics, which draw a random number of Python's
            return float(super().score(X, plain_array(y), sample_weight))

    def _warn_of_networks(self) -> None:
        """Says which parameters mean nothing in the space of pipelines."""
        usual, of_networks = type(self)().get_params(), ("trials", "recipe", "searcher", "stop_early", "on", "model")
        if given := [f"{name}={getattr(self, name)!r}" for name in of_networks if getattr(self, name) != usual[name]]:
            told = f"given {' and '.join(given)} with space={self.space!r}: only spaces of networks look at that"
            warnings.warn(told, stacklevel=4)

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(MOST_SEED))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags


def _labels(y: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The sorted classes, and the number of each image's class, (n,)."""
    allowed = "allowed is one whole number (1.0 too), text or boolean an image"
    given = plain_array(y)
    if is_one_hot(given):
        told = f"given labels y of shape {given.shape} that are one-hot"
        raise UserError(f"{told}; {allowed}; give numpy.asarray(y).argmax(axis=1)")
    try:
        labels = column_or_1d(given, warn=True)
        if places := missing(labels):
            raise UserError(
                f"given labels y of which {len(places):,} are missing (None or NaN), the first at {places[0]}; "
                f"{allowed}; fill them in or leave these images out"
            )
        check_classification_targets(labels)
        classes, numbers = np.unique(labels, return_inverse=True)
    except UserError:
        raise
    except (TypeError, ValueError) as problem:
        reason = str(problem).strip().partition("\n")[0].rstrip(".")  # below stand all the labels of scikit-learn's
        raise UserError(f"given labels y that are not classes ({reason}); {allowed}; name the classes") from problem
    return classes, numbers.astype(np.int64)


def _task(
    images: npt.NDArray[Any], classes: npt.NDArray[Any], numbers: npt.NDArray[np.int64], *, seed: int, up_to: int | None
) -> Task:
    """The images as a task with a validation part and without a test part, the classes in their order."""
    names = tuple(map(str, classes))
    return load_task(
        (images, numbers),
        seed=seed,
        up_to=up_to,
        max_images=max(1, len(numbers)),
        wanted=(VALIDATION,),
        class_names=names if len(set(names)) == len(names) else (),
    )
