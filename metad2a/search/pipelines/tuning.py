"""The second part of a search for pipelines: what the probes promise is fine-tuned, round by round.

Every training is kept before the next begins; a killed one goes on where it was. A pipeline that is trained again
replaces what is kept of it only where validation likes it better.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.datasets.task import TRAIN, VALIDATION
from metad2a.search.pipelines import competing
from metad2a.search.pipelines.average import keep_logits
from metad2a.search.pipelines.ending import before_last, last_stage, take_last
from metad2a.search.pipelines.kept import known_percent
from metad2a.search.pipelines.promotion import promoted
from metad2a.search.pipelines.session import PipelineSession
from metad2a.search.pipelines.stages import CHECKPOINT, LAST_ROUND, Stage
from metad2a.search.run_state import Wanted
from metad2a.search.runs import CANDIDATES
from metad2a.train.classifier import Classifier
from metad2a.train.finetune import Tuned
from metad2a.train.loop import Epoch
from metad2a.train.pipeline import Effort, begin_of, tune_pipeline
from predictors.outcome import BATCH


def tune_all(session: PipelineSession, asked: Callable[[PipelineSession], None] | None = None) -> None:
    """Fine-tunes what there is time for: several at once as promised, then one of them, and what answers last.

    In place of the first two what is ``asked`` for.
    """
    session.plan.forget(budget=session.seconds)
    (asked or _as_promised)(session)
    begun = not all(each.done for each in session.plan.round(LAST_ROUND))
    for _ in range(1 + begun):  # a larger budget goes on further than a last one that was killed would
        for stage in [] if asked else promoted(session):
            tune(session, stage)
        last, members = last_stage(session)
        if last is not None:
            tune(session, last, answering=members)
        elif not asked and members and all(each.learning_rate is None for each in members):  # its time is free
            for stage in promoted(session, instead=True):
                tune(session, stage)


def _as_promised(session: PipelineSession) -> None:
    """The first round."""
    if not session.plan.round(1):
        left = session.left - session.held_out(VALIDATION)
        free = before_last(session, left)
        chosen = competing.first_round(session.measured, **session.task_facts, seconds=free, allowed=session.allowed)
        for each in chosen if chosen and chosen[0].seconds >= competing.LEAST_TUNING else []:
            session.plan.add(Stage(str(each.pipeline), each.seconds, again=False, round=1, budget=session.seconds))
    for stage in session.plan.round(1):
        tune(session, stage)


def tune(session: PipelineSession, stage: Stage, *, answering: Sequence[Pipeline] | None = None) -> None:
    """One fine-tuning, from the probe or from where it stands; what is kept is the better one."""
    if stage.done:
        session.resumed += 1
        return
    if session.left_for(answering) < 1:
        return
    pipeline = PIPELINE.pipeline(PIPELINE.parse(stage.pipeline))
    index = session.run.place(Wanted(PIPELINE.of(pipeline)))
    checkpoint = session.run.folder / CANDIDATES / CHECKPOINT.format(index, session.plan.stages.index(stage))
    checkpoint.parent.mkdir(exist_ok=True)
    begin, augment = _begin(session, pipeline, index, again=stage.again), session.augmented
    if (left := session.left_for(answering)) < 1:
        return
    seconds = stage.seconds if checkpoint.is_file() else min(stage.seconds, left)
    session.now(f"Fine-tuning {pipeline} for {seconds:.0f} s")
    session.worked, curve = True, list[Epoch]()
    parts = (TRAIN, VALIDATION) if stage.round == LAST_ROUND else (TRAIN,)
    tuned = tune_pipeline(
        pipeline,
        session.task,
        Effort(seconds=seconds, augment=augment, seed=session.seed, parts=parts),
        begin=begin,
        deadline=time.monotonic() + left,
        checkpoint=checkpoint,
        on_epoch=_epoch(session, pipeline, curve),
    )
    if stage.round == LAST_ROUND:
        take_last(session, index, tuned)
    else:
        _take(session, index, tuned, curve, again=stage.again)
    if tuned.complete:  # else a larger budget goes on with it
        if not stage.again:  # what went on had two schedules, as no training that we foretell
            steps = max(1, round(tuned.passes * session.task_facts["images"] / BATCH))  # of whole batches
            accuracy, loss = tuned.valid_accuracy, tuned.valid_loss
            session.recorder.add(pipeline, accuracy, loss, seconds=tuned.seconds, steps=steps, curve=curve)
        session.plan.finish(stage)
        checkpoint.unlink(missing_ok=True)


def _begin(session: PipelineSession, pipeline: Pipeline, index: int, *, again: bool) -> Classifier:
    """Where a fine-tuning begins, or goes on."""
    if again:
        return session.classifier(index)
    return begin_of(pipeline, session.task, seed=session.seed, cache=session.cache, also=session.also)


def _take(session: PipelineSession, index: int, tuned: Tuned, curve: Sequence[Epoch], *, again: bool) -> None:
    """Keeps a fine-tuned network unless what is kept of its pipeline is better."""
    known = session.run.state.trained.get(index)
    new = (tuned.valid_accuracy or 0.0, -tuned.valid_loss)
    if known is not None and new <= ((known.valid_accuracy or 0.0), -session.loss(index)):
        after = f"{known_percent(tuned.valid_accuracy)} after more time"
        return session.line(f"{session.pipeline(index)}: {after}: the earlier one stays")
    before = known if again else None  # else a cut one went on, whose figures hold all of it
    passes = tuned.passes + (before.epochs if before else 0)
    seconds = tuned.seconds + (before.seconds if before else 0.0)
    figures = (tuned.valid_accuracy, tuned.valid_loss)
    session.keep(index, tuned.classifier, *figures, seconds=seconds, passes=passes, curve=curve)
    keep_logits(session.run, index, tuned.valid_logits)


def _epoch(session: PipelineSession, pipeline: Pipeline, curve: list[Epoch]) -> Callable[[Epoch], None]:
    def tell(epoch: Epoch) -> None:
        session.run.tick()
        curve.append(epoch)
        session.on_epoch(pipeline, epoch)

    return tell
