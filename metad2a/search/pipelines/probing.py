"""The first part of a search for pipelines: probes look at the images, and each is a working model that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from metad2a.recommend.looking import about, looks
from metad2a.search.pipelines.average import keep_logits
from metad2a.search.run_state import Wanted
from metad2a.train.bases import absent
from metad2a.train.pipeline import probe_pipeline
from metad2a.train.probe import Probed, told_of_few

if TYPE_CHECKING:
    from metad2a.search.pipelines.session import PipelineSession

PROBE_SHARE = 0.3  # of the time left that one probe may take: the rest is for what is learnt


def probe_all(session: PipelineSession) -> None:
    """Probes what there is time for; where none of these keeps the limits, a slice of our weights too.

    Raises:
        UserError: no slice keeps the limits.
    """
    state = session.run.state
    known = {session.pipeline(index): each.valid_accuracy or 0.0 for index, each in state.trained.items()}
    left_out: dict[str, str] = {}
    begun = looks(
        session.task,
        left=lambda: session.left,
        cache=session.cache,
        known=known,
        also=session.also,
        share=PROBE_SHARE,
        left_out=left_out,
        now=session.now,
    )
    for each in begun:
        session.measured.append(each.measured)
        pipeline, probed = each.measured.pipeline, each.probed
        index = session.run.place(Wanted(PIPELINE.of(pipeline)))
        if probed is None:  # kept by an earlier process, which may have been killed before it recorded it
            session.resumed += 1
            seconds = state.trained[index].seconds
            session.recorder.add(pipeline, known[pipeline], session.loss(index), seconds=seconds)
        else:
            _keep(session, pipeline, probed)
    smaller = session.allowed.probes([each.pipeline for each in session.measured]) if session.allowed else []
    for pipeline in smaller:
        if pipeline in known:
            session.resumed += 1
        else:
            _keep(session, pipeline, probe_pipeline(pipeline, session.task, cache=session.cache))
    session.notes += [*about(session.also, session.measured, left_out), *absent()]


def _keep(session: PipelineSession, pipeline: Pipeline, probed: Probed) -> None:
    index = session.run.place(Wanted(PIPELINE.of(pipeline)))
    if few := told_of_few(probed, session.task):
        session.notes.append(f"{pipeline} {few}")
    else:
        session.plan.penalties[str(pipeline)] = probed.head.penalty
    accuracy, loss = probed.valid_accuracy, probed.valid_loss
    session.keep(index, probed.classifier, accuracy, loss, seconds=probed.seconds, passes=1)
    keep_logits(session.run, index, probed.valid_logits)
    session.recorder.add(pipeline, accuracy, loss, seconds=probed.seconds)
