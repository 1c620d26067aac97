"""What a search for pipelines exports: its best, alone or in a mean, from which parts of the images it learnt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from databases.datasets.task import VALIDATION
from metad2a.search.pipelines.average import averaged, together
from metad2a.search.pipelines.ending import of_all_images
from metad2a.search.pipelines.report import in_time, milliseconds, temperature
from metad2a.search.pipelines.session import PipelineSession
from metad2a.train.classifier import Classifier
from metad2a.train.logistic import Floats, log_loss
from metad2a.train.probe import percent_right

BOTH = "learnt from training and validation images"
ON_ALL = f"what is exported {BOTH}; its validation accuracy is of before"


@dataclass(frozen=True, eq=False)
class Chosen:
    """What is exported.

    Attributes:
        valid_accuracy: percent, of before any of it learnt from validation images. temperature: calibrates it.
        went_on: whether any of it learnt from validation images too. notes: one line for each thing to know.
    """

    classifier: Classifier
    valid_accuracy: float | None
    temperature: float
    went_on: bool
    notes: tuple[str, ...]


def chosen(session: PipelineSession, best: int, logits: Mapping[int, Floats], heats: Mapping[int, float]) -> Chosen:
    """The best, or the mean of the finalists ``heats``; ``logits`` were kept of the validation images."""
    if heats:
        return _together(session, best, logits, heats)
    task, asked = session.task, session.task.places(VALIDATION)
    truth = task.labels[asked]
    classifier = session.classifier(best)
    if best not in logits:  # a part of them judged it
        asked = in_time(classifier, task, VALIDATION, session.left / 2)
        truth = task.labels[asked]
    known = logits[best] if best in logits else classifier.logits(task.images, asked)
    heat = temperature(known, truth) if len(truth) else 1.0
    classifier, again = of_all_images(session, best)
    valid = session.run.state.trained[best].valid_accuracy
    return Chosen(classifier, valid, heat, again, (ON_ALL,) if again else ())


def _together(session: PipelineSession, best: int, logits: Mapping[int, Floats], heats: Mapping[int, float]) -> Chosen:
    """The mean of the finalists, given with their temperatures, as one network; what it costs is noted.

    So is how log-loss does, for which it was chosen: accuracy may fall too.
    """
    task = session.task
    truth = task.labels[task.places(VALIDATION)]
    mean, before = together(logits, heats), together(logits, {best: heats[best]})
    valid, alone = percent_right(mean, truth), session.run.state.trained[best].valid_accuracy or 0.0
    found = {index: of_all_images(session, index) for index in heats}
    parts = {index: classifier for index, (classifier, _) in found.items()}
    learnt = {index: again for index, (_, again) in found.items()}
    made = averaged(parts, heats, resolution=task.resolution)
    dearer = milliseconds(made, task) - milliseconds(parts[best], task)
    named = " and ".join(str(session.pipeline(index)) for index in heats if index != best)
    told = f"what is exported is the mean with {named}, since log-loss on validation images is lower, "
    told += f"{log_loss(before, truth):.3f} -> {log_loss(mean, truth):.3f}"
    told += f"; validation {alone:.1f} -> {valid:.1f}%, for {dearer:.1f} ms more an image"
    notes = (told, *_told_of_all(session, learnt))
    return Chosen(made, valid, temperature(mean, truth), any(learnt.values()), notes)


def _told_of_all(session: PipelineSession, learnt: Mapping[int, bool]) -> list[str]:
    """A note where members learnt from validation images too, which names them where others did not."""
    named = " and ".join(str(session.pipeline(index)) for index, again in learnt.items() if again)
    some = f"of what is exported {named} {BOTH}, the rest from training images"
    return [] if not named else [ON_ALL] if all(learnt.values()) else [f"{some}; its validation accuracy is of before"]
