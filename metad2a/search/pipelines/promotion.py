"""Which of the fine-tuned pipelines goes on with the time before the last training."""

from __future__ import annotations

from databases.datasets.task import VALIDATION
from metad2a.search.pipelines import competing
from metad2a.search.pipelines.ending import before_last
from metad2a.search.pipelines.session import PipelineSession
from metad2a.search.pipelines.stages import LAST_ROUND, Stage


def promoted(session: PipelineSession, *, instead: bool = False) -> list[Stage]:
    """The stage of the pipeline that promises most, or those that were begun; none where there is no time.

    ``instead`` of the last training, which nothing that answers could take, it gets the time kept for that too.
    """
    open_ones = [each for each in session.plan.round(2) if not each.done]
    tuned = [index for index in session.run.state.trained if session.pipeline(index).learning_rate is not None]
    left = session.left - session.held_out(VALIDATION)
    left = left if instead else before_last(session, left)
    if not open_ones and left >= competing.LEAST_AGAIN and tuned and (instead or _goes_on(session)):
        best = session.pipeline(_promising(session, tuned, left))
        session.plan.add(Stage(str(best), left, again=True, round=2, budget=session.seconds))
        open_ones = session.plan.round(2)[-1:]
    return open_ones


def _goes_on(session: PipelineSession) -> bool:
    """Whether training images alone are gone on with: for one of several, or by a larger budget after the last."""
    last = session.plan.stages[-1]
    if last.done and session.seconds > last.budget:
        return True
    if last.round == LAST_ROUND:
        return last.done
    return (last.round == 1 and len(session.plan.round(1)) > 1) or not len(session.task.places(VALIDATION))


def _promising(session: PipelineSession, tuned: list[int], left: float) -> int:
    """The fine-tuned candidate that is expected to end best, if it alone goes on for the seconds left."""
    state = session.run.state.trained
    tuned = sorted(tuned, key=session.loss)
    rows = [(session.pipeline(index), state[index].valid_accuracy or 0.0, state[index].seconds) for index in tuned]
    return tuned[competing.to_go_on(rows, session.measured, **session.task_facts, left=left)]
