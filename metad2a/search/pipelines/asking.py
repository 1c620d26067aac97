"""A search in which a searcher, and not the plan, asks which pipeline is tried next.

The probes that look at the images come first, as ever, and it is told of them. Then what it asks for gets the same
seconds each; what it asked for that cannot be done here, or not in that time, is passed over. The last training is as
ever too. Going on after a kill, the searcher is asked again from its beginning, and what was begun takes the place of
its first wishes: it takes the same way, and nothing is trained twice.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from databases.architectures.space import Architecture
from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.datasets.task import VALIDATION
from databases.errors import UserError
from metad2a.recommend.chances import chances
from metad2a.search.controllers import check_searcher, controller
from metad2a.search.controllers.controller import Controller
from metad2a.search.loop import run
from metad2a.search.pipelines import competing
from metad2a.search.pipelines.ending import before_last
from metad2a.search.pipelines.probing import fits, probe_asked
from metad2a.search.pipelines.session import PipelineSession
from metad2a.search.pipelines.stages import LAST_ROUND, Stage
from metad2a.search.pipelines.tuning import tune
from metad2a.search.run_state import Wanted
from metad2a.train.bases import OTHER, installed
from metad2a.train.pipeline import OURS
from predictors.scale import to_logit

LEAST_EACH, ASKS = 8.0, 10  # seconds that each gets at least, and as how many longer time is divided
NO_GENERATOR = "begins with a generator, and none of pipelines comes with metad2a"
UNFIT = {
    "area": "scores untrained networks, of which pipelines have none",
    "generator": NO_GENERATOR,
    "warm-start": NO_GENERATOR,
}


def _pool(expected: Mapping[Architecture, float]) -> dict[str, Any]:
    usual = sum(expected.values()) / max(1, len(expected))  # of what was begun when something else was foretold
    return {"pool": [*expected], "prior": lambda some: to_logit([expected.get(each, usual) for each in some])}


# What those are made with that begin with what fine-tuning is expected to reach, in percent and the best first.
FORETOLD: dict[str, Callable[[Mapping[Architecture, float]], dict[str, Any]]] = {
    "surrogate": _pool,
    "zero-shot": lambda expected: {"order": [*expected]},
}


def check_asks(searcher: str | None) -> None:
    """Raises `UserError` for a searcher that is unknown, or of no use for pipelines."""
    if searcher is None:
        return
    check_searcher(searcher)
    if searcher in UNFIT:
        raise UserError(
            f"given the searcher {searcher!r} with the space {PIPELINE.name!r}: it {UNFIT[searcher]}: choose another, "
            "such as surrogate, evolution or random, or leave it out"
        )


class Asked(Controller):
    """A searcher that is asked again for what is not ``possible``; what was ``begun`` replaces its first wishes."""

    def __init__(
        self, inner: Controller, *, begun: Sequence[Architecture] = (), possible: Callable[[Architecture], bool]
    ) -> None:
        super().__init__(inner.space, seed=inner.seed)
        self._inner, self._begun, self._possible = inner, deque(begun), possible

    def ask(self, count: int) -> list[Architecture]:
        """At most ``count``."""
        found: list[Architecture] = []
        while len(found) < count and (asked := self._inner.ask(count - len(found))):
            found += filter(self._possible, asked)
        begun = [self._begun.popleft() for _ in range(min(count, len(self._begun)))]
        return [*begun, *found[len(begun) :]]

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> None:
        """Hands the scores on."""
        self._inner.tell(architectures, scores)


def ask_all(session: PipelineSession) -> None:
    """Tries what the session's searcher asks for, as long as there is time beside the last training's."""
    begun, left = session.plan.round(1), _left(session)
    free = before_last(session, left)
    each = begun[0].seconds if begun else min(free, max(LEAST_EACH, free / ASKS))
    if each < competing.LEAST_TUNING:
        return
    last = not all(stage.done for stage in session.plan.round(LAST_ROUND))
    session.notes.append(f"the searcher {session.searcher} asked for pipelines, {each:.1f} s each")

    def possible(architecture: Architecture) -> bool:
        return _possible(session, PIPELINE.pipeline(architecture), each)

    def measure(architectures: Sequence[Architecture]) -> list[float]:
        kept = left - free if _tuned(session) else 0.0  # for the last training, which no probe takes
        may = not last and (not session.plan.round(1) or _left(session) - kept >= each)
        found = (_tried(session, PIPELINE.pipeline(wanted), each, begin=may) for wanted in architectures)
        return [score for score in found if score is not None]

    there = [PIPELINE.parse(stage.pipeline) for stage in begun]
    run(Asked(_searcher(session, each), begun=there, possible=possible), measure, trials=sys.maxsize)


def _searcher(session: PipelineSession, seconds: float) -> Controller:
    """The searcher, which is told of the probes, or begins with what they foretell."""
    name = session.searcher or ""
    if name in FORETOLD:
        found = chances(session.measured, **session.task_facts, seconds=seconds, short=True)
        expected = {PIPELINE.of(each.pipeline): each.expected for each in found}
        return controller(name, PIPELINE, seed=session.seed, **FORETOLD[name](expected))
    blind = controller(name, PIPELINE, seed=session.seed)
    blind.tell([PIPELINE.of(each.pipeline) for each in session.measured], [each.accuracy for each in session.measured])
    return blind


def _possible(session: PipelineSession, pipeline: Pipeline, seconds: float) -> bool:
    """Whether it can be done here in so many seconds, and keeps the limits.

    Weights that are not ours are tuned where they were probed whole: their features are known.
    """
    looked = {(each.pipeline.weights, each.pipeline.resolution) for each in session.measured}
    there = {"scratch", *(name for name, is_there in installed().items() if is_there), *(name for name, _ in looked)}
    seen, whole = (pipeline.weights, pipeline.resolution) in looked, not (pipeline.slim or pipeline.short)
    if pipeline.weights not in there or pipeline.resolution > max(64, session.task.resolution):
        return False
    if session.allowed is not None and not session.allowed(pipeline):
        return False
    if pipeline.learning_rate is not None:
        return pipeline.weights in OURS or (seen and whole)
    return (pipeline.weights != OTHER or seen) and fits(session, pipeline, seconds)


def _tried(session: PipelineSession, pipeline: Pipeline, seconds: float, *, begin: bool) -> float | None:
    """Its validation accuracy in percent, once it is tried to the end; one that is new only where it may ``begin``."""
    stage = _stage(session, pipeline)
    if stage is None:
        if not begin:
            return None
        stage = Stage(str(pipeline), seconds, again=False, round=1, budget=session.seconds)
        session.plan.add(stage)
    if pipeline.learning_rate is not None or stage.done:
        tune(session, stage)
    else:
        probe_asked(session, pipeline)
        session.plan.finish(stage)
    after = _stage(session, pipeline)
    index = session.run.place(Wanted(PIPELINE.of(pipeline)))
    return session.run.state.trained[index].valid_accuracy or 0.0 if after is not None and after.done else None


def _stage(session: PipelineSession, pipeline: Pipeline) -> Stage | None:
    return next((each for each in session.plan.round(1) if each.pipeline == str(pipeline)), None)


def _tuned(session: PipelineSession) -> bool:
    """Whether the best so far is fine-tuned."""
    best = session.best()
    return best is not None and session.pipeline(best).learning_rate is not None


def _left(session: PipelineSession) -> float:
    return session.left - session.held_out(VALIDATION)
