"""The end of a search: what answers learns from the validation images too, once they have chosen.

Of few labelled images those for validation are a large part. The best fine-tuned network of those that answer goes on
with all, for a last schedule; a probe is fitted again with the penalty that was found. The accuracies on validation
images stay those of before.
"""

from __future__ import annotations

from functools import partial

from databases.architectures.spaces.pipeline import Pipeline
from databases.datasets.task import VALIDATION
from metad2a.search.pipelines.average import finalists, read_logits
from metad2a.search.pipelines.competing import to_classify
from metad2a.search.pipelines.kept import training_of
from metad2a.search.pipelines.session import PipelineSession
from metad2a.search.pipelines.stages import LAST_ROUND, Stage
from metad2a.train.classifier import Classifier
from metad2a.train.finetune import Tuned
from metad2a.train.logistic import Floats
from metad2a.train.probe import refit

LAST_SHARE, LEAST_LAST = 0.3, 3.0  # of the time that is left for fine-tuning; seconds below which it is not worth it
BETWEEN = 1.5  # seconds that what is before the last training may take more than planned: less is not kept for it
AFTER = 1.0  # seconds that are kept for what comes after it, beside testing: the mean is built and timed
REFIT_SHARE = 0.3  # of the seconds of a probe, which also read the images and found the penalty


def before_last(session: PipelineSession, left: float) -> float:
    """What is free of the seconds ``left``, if some are kept for the last training."""
    kept = LAST_SHARE * left
    return left - kept if kept >= LEAST_LAST + BETWEEN and len(session.task.places(VALIDATION)) else left


def answering(session: PipelineSession, best: int) -> tuple[int, ...]:
    """The candidates that answer together, ``best`` first; alone where speed is preferred."""
    if session.fast:
        return (best,)
    truth = session.task.labels[session.task.places(VALIDATION)]
    return finalists(valid_logits(session), truth, best, fits=partial(_fit, session))


def valid_logits(session: PipelineSession) -> dict[int, Floats]:
    """What the candidates say of all validation images, (n, classes) each."""
    count = len(session.task.places(VALIDATION))
    return {index: each for index, each in read_logits(session.run).items() if len(each) == count}


def _fit(session: PipelineSession, members: tuple[int, ...]) -> bool:
    """Whether these keep the limits together."""
    return session.allowed is None or session.allowed(*map(session.pipeline, members))


def last_stage(session: PipelineSession) -> tuple[Stage | None, list[Pipeline]]:
    """The last training, which goes on where it was begun, and what will answer together.

    None where there is nothing to train or no time.
    """
    best = session.best()
    if best is None or not len(session.task.places(VALIDATION)):
        return None, []
    members = answering(session, best)
    pipelines = [session.pipeline(index) for index in members]
    begun = [each for each in session.plan.round(LAST_ROUND) if not each.done]
    if begun:
        return begun[-1], pipelines
    tuned = [each for each in pipelines if each.learning_rate is not None]
    refits = [REFIT_SHARE * session.run.state.trained[index].seconds for index in members]
    left = session.left_for(pipelines) - AFTER
    left -= sum(takes for takes, each in zip(refits, pipelines, strict=True) if each not in tuned)
    left -= to_classify(session.measured, len(session.task.places(VALIDATION)), tuned[:1])  # when it is over
    if not tuned or left < LEAST_LAST:
        return None, pipelines
    stage = Stage(str(tuned[0]), left, again=True, round=LAST_ROUND, budget=session.seconds)
    session.plan.add(stage)
    return stage, pipelines


def take_last(session: PipelineSession, index: int, tuned: Tuned) -> None:
    """Keeps the network that learnt from all images, unless it knows validation images worse than before."""
    known = session.run.state.trained[index]
    told = f"{session.pipeline(index)}: on validation images too for {tuned.seconds:.1f} s"
    if not tuned.complete:
        session.line(f"{told}, not to its end: the earlier one stays; a larger budget goes on with it")
        return
    if (tuned.valid_accuracy or 0.0) < (known.valid_accuracy or 0.0):
        session.line(f"{told}: the earlier one stays")
        return
    session.run.keep_again(index, training_of(tuned.classifier, known), session.card(index, tuned.classifier))
    session.line(told)


def of_all_images(session: PipelineSession, index: int) -> tuple[Classifier, bool]:
    """The network of a candidate as it is exported, and whether it learnt from validation images too."""
    state, pipeline = session.run.state, session.pipeline(index)
    if state.again is not None and state.again[0] == index:
        card, training = session.run.weights_again()
        return card.classifier(training.network), True
    penalty = session.plan.penalties.get(str(pipeline))
    takes = REFIT_SHARE * state.trained[index].seconds
    before = session.classifier(index)
    if pipeline.training != "probe" or penalty is None or session.seconds - session.run.spent < takes:
        return before, False
    return refit(session.base(pipeline), session.task, begin=before, penalty=penalty, cache=session.cache), True
