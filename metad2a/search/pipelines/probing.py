"""The first part of a search for pipelines: probes look at the images, and each is a working model that is kept."""

from __future__ import annotations

from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from metad2a.recommend.looking import about, fitting, imagenet_probe, looks
from metad2a.search.pipelines.average import keep_logits
from metad2a.search.pipelines.session import PipelineSession
from metad2a.search.run_state import Wanted
from metad2a.train.bases import absent
from metad2a.train.pipeline import base_of
from metad2a.train.probe import NO_MORE, Probed, probe, probed_places, speed, told_of_few

PROBE_SHARE = 0.3  # of the time left that one probe of all images may take: the rest is for what is learnt


def probe_all(session: PipelineSession) -> None:
    """Probes what there is time for; where none of these keeps the limits, a slice of our weights or HOG too.

    Raises:
        UserError: neither keeps the limits.
    """
    state = session.run.state
    there = {session.pipeline(index): each.valid_accuracy or 0.0 for index, each in state.trained.items()}
    known = {pipeline: accuracy for pipeline, accuracy in there.items() if not _may_learn_from_all(session, pipeline)}
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
        if probed is None:
            _again(session, pipeline)
        else:
            _keep(session, pipeline, probed)
    smaller = session.allowed.probes([each.pipeline for each in session.measured]) if session.allowed else []
    for pipeline in smaller:
        left_out.pop(pipeline.weights, None)
        if pipeline in known:
            _again(session, pipeline)
        else:
            _keep(session, pipeline, _of_smaller(session, pipeline))
    session.notes += [*about(session.also, session.measured, left_out), *absent()]


def _may_learn_from_all(session: PipelineSession, pipeline: Pipeline) -> bool:
    """Whether a kept probe learnt from a part of the images, and there is time for all of them by now."""
    if pipeline.training != "probe" or not _is_of_few(session, pipeline):
        return False
    return all(most >= len(probed_places(session.task, part)) for part, most in _most(session, pipeline).items())


def _is_of_few(session: PipelineSession, pipeline: Pipeline) -> bool:
    return str(pipeline) not in session.plan.penalties


def _most(session: PipelineSession, pipeline: Pipeline) -> dict[int, int]:
    """Of how many images of each part there is time for a probe."""
    base = base_of(pipeline, session.task, also=session.also)
    rate = speed(base, session.task, resolution=pipeline.resolution)
    return fitting(session.task, pipeline, base, rate, session.left)[0]


def _again(session: PipelineSession, pipeline: Pipeline) -> None:
    """Takes what an earlier process kept, which may have been killed before it recorded it."""
    index = session.run.place(Wanted(PIPELINE.of(pipeline)))
    kept = session.run.state.trained[index]
    session.resumed += 1
    if _is_of_few(session, pipeline):
        session.notes.append(f"{pipeline} learnt from a part of the training images: {NO_MORE}")
    else:
        session.recorder.add(pipeline, kept.valid_accuracy, session.loss(index), seconds=kept.seconds)


def fits(session: PipelineSession, pipeline: Pipeline, seconds: float) -> bool:
    """Whether its probe of all images takes no more than so many seconds."""
    base = base_of(pipeline, session.task, also=session.also)
    rate = speed(base, session.task, resolution=pipeline.resolution)
    return fitting(session.task, pipeline, base, rate, seconds, whole=1.0)[1]


def probe_asked(session: PipelineSession, pipeline: Pipeline) -> None:
    """A probe of all images, unless it is kept."""
    if session.run.place(Wanted(PIPELINE.of(pipeline))) in session.run.state.trained:
        return _again(session, pipeline)
    session.now(f"Probing {pipeline}")
    base = base_of(pipeline, session.task, also=session.also)
    _keep(session, pipeline, probe(base, session.task, resolution=pipeline.resolution, cache=session.cache))


def _of_smaller(session: PipelineSession, pipeline: Pipeline) -> Probed:
    """The probe of what is smaller, of as many images as there is time for, as the first one is."""
    most = _most(session, pipeline)
    base = base_of(pipeline, session.task)
    return probe(base, session.task, resolution=pipeline.resolution, cache=session.cache, most=most)


def _keep(session: PipelineSession, pipeline: Pipeline, probed: Probed) -> None:
    index = session.run.place(Wanted(PIPELINE.of(pipeline)))
    few = told_of_few(probed, session.task)
    if few is not None:
        session.notes.append(f"{pipeline} {few}")
    else:
        session.plan.penalties[str(pipeline)] = probed.head.penalty
    accuracy, loss = probed.valid_accuracy, probed.valid_loss
    session.keep(index, probed.classifier, accuracy, loss, seconds=probed.seconds, passes=1)
    keep_logits(session.run, index, probed.valid_logits)
    if few is None:  # a record says that all images were learnt from
        session.recorder.add(pipeline, accuracy, loss, seconds=probed.seconds)


def imagenet_rival(session: PipelineSession) -> tuple[Pipeline, Probed] | None:
    """The probe of ImageNet's weights, where the search did without and it fits into as many seconds as all of that."""
    pipeline, task = imagenet_probe(session.task), session.task
    probed = {session.pipeline(index).weights for index in session.run.state.trained}
    if pipeline is None or pipeline.weights in probed:
        return None
    base = base_of(pipeline, task)
    rate = speed(base, task, resolution=pipeline.resolution)
    most, in_time = fitting(task, pipeline, base, rate, session.seconds, whole=1.0)
    if not in_time:
        return None
    session.now(f"Probing {pipeline}, to compare")
    return pipeline, probe(base, task, resolution=pipeline.resolution, cache=session.cache, most=most)
