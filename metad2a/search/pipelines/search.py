"""`search --space pipeline`: the best pipeline that the seconds allow, tested once, calibrated and exported."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

from databases.architectures.networks.average import AverageNetwork
from databases.architectures.spaces.pipeline import PIPELINE, Pipeline
from databases.architectures.supernets.families import RESIDUAL, open_family
from databases.datasets.task import TEST, VALIDATION, Task
from databases.errors import Say
from databases.records.store import Store
from databases.usual import AUTOMATIC, USUAL_SECONDS
from metad2a.export.export import Exported, save
from metad2a.export.weights import WEIGHTS, load_weights
from metad2a.recommend.limits import NO_LIMITS, Limits
from metad2a.recommend.pipeline_cost import Allowed
from metad2a.runtime.home import features_folder, home
from metad2a.runtime.tracking import NullTracker, Tracker
from metad2a.search.budget import check_seconds
from metad2a.search.judgement import judgements, told_of_seconds
from metad2a.search.pipelines.asking import ask_all, check_asks
from metad2a.search.pipelines.average import read_logits
from metad2a.search.pipelines.chosen import chosen
from metad2a.search.pipelines.ending import answering, valid_logits
from metad2a.search.pipelines.faster import told_of_fastest
from metad2a.search.pipelines.kept import training_of
from metad2a.search.pipelines.probing import imagenet_rival, probe_all
from metad2a.search.pipelines.report import ClassifierReport, report, temperature, told_of_tested
from metad2a.search.pipelines.session import OnEpoch, PipelineSession
from metad2a.search.pipelines.stages import Rival
from metad2a.search.pipelines.tuning import tune_all
from metad2a.search.result import Outcome
from metad2a.search.run_state import Trained
from metad2a.search.runs import RUNS, RunFolder, run_name
from metad2a.search.tracked import SEARCH_FIGURE, Draw, facts, known_values
from metad2a.train.augment import check_augment
from metad2a.train.bases import Base, installed
from metad2a.train.classifier import Classifier
from metad2a.train.loop import Epoch
from metad2a.train.pipeline import Effort, tune_pipeline
from metad2a.train.probe import percent_right, told_of_sample

PLAIN = "plain-"  # how files of the network begin that a search is compared with, which is none of its candidates
GRACE = 0.1  # of the budget


@dataclass(frozen=True, repr=False)
class PipelineResult(Outcome):
    """The outcome.

    Attributes:
        best: the pipeline that was best by validation. members: those whose mean is exported, the best first.
        valid_accuracy, test_accuracy: percent, of what is exported.
        trained: every pipeline that was tried, in order.
        report: figures of the test images. temperature: calibrates the probabilities.
        rivals: what was asked for beside it.
        seconds: wall time, that of earlier processes of the run included. resumed: what was done already.
        notes: one line for each thing to know.
    """

    best: Pipeline
    members: tuple[Pipeline, ...]
    valid_accuracy: float | None
    test_accuracy: float | None
    trained: tuple[Trained, ...]
    report: ClassifierReport
    temperature: float
    rivals: tuple[Rival, ...]
    folder: Path
    seconds: float
    resumed: int
    notes: tuple[str, ...]
    exported: Exported


# long, since what a caller may settle is passed on by name
def search_pipelines(
    task: Task,
    *,
    seconds: float = USUAL_SECONDS,
    augment: str = AUTOMATIC,
    baseline: bool = False,
    limits: Limits = NO_LIMITS,
    seed: int = 0,
    tracker: Tracker | None = None,
    folder: Path | None = None,
    begun: float | None = None,
    patience: float = 0.0,
    cache: Path | None = None,
    also: Base | None = None,
    store: Store | None = None,
    searcher: str | None = None,
    draw: Draw | None = None,
    line: Say = lambda text: None,
    now: Say = lambda text: None,
    on_epoch: OnEpoch | None = None,
) -> PipelineResult:
    """Probes, then fine-tunes what promises most, within ``seconds``; tests and exports the best by validation.

    The same call goes on where an earlier one was stopped, however it was; a larger budget goes on further. With
    ``baseline`` a plain network is trained from scratch for as many seconds more, and tested beside ours. A run that
    another process works on is waited for, ``patience`` seconds at most. Features are kept in ``cache``, by default in
    the home folder. ``also`` is a pretrained network of the user's own, which competes with ours. What is exported
    keeps the ``limits``, whose latency is that of `THIS_MACHINE`; with their preference ``latency`` it is the fastest
    of those that are as good on validation images. Each epoch of a fine-tuning is told to ``on_epoch``, by default in
    words to ``now``.
    What is measured lands in ``store``, whose measurements of other images help to choose. A ``searcher`` of that name
    asks what is tried after the first probes, in place of the plan. What ``draw`` makes of the trainings goes with the
    tracked run.

    Raises:
        UserError: impossible budget, augmentation, searcher or limits; run in use.
    """
    begin = time.monotonic() if begun is None else begun
    check_seconds(seconds)
    check_augment(augment)
    check_asks(searcher)
    allowed = None if limits == NO_LIMITS else Allowed(limits, task, also)
    identity = {"space": PIPELINE.name, "fingerprint": task.fingerprint, "seed": seed, "augment": augment}
    identity |= {"own": open_family(RESIDUAL.name).digest}  # a run that other weights began is another
    identity |= {} if also is None else {"also": also.digest}
    identity |= {} if searcher is None else {"searcher": searcher}
    identity |= limits.named()
    place = folder or home() / RUNS / run_name(task.name, PIPELINE.name, identity)
    run = RunFolder(place, identity, begin=begin, patience=patience)
    parameters = {**identity, "seconds": seconds, "weights_at_hand": ", ".join(k for k, v in installed().items() if v)}
    with run, (tracker or NullTracker()).run(run.folder.name, "search", parameters=parameters) as tracked:
        session = PipelineSession(
            task,
            run,
            tracked,
            seconds,
            augment=augment,
            seed=seed,
            cache=cache or features_folder(),
            also=also,
            allowed=allowed,
            store=store,
            searcher=searcher,
            line=line,
            now=now,
            on_epoch=on_epoch or (lambda pipeline, epoch: now(told_of_epoch(pipeline, epoch))),
        )
        result = _finish(session, _go(session))
        tracked.metrics(known_values(valid_accuracy=result.valid_accuracy, test_accuracy=result.test_accuracy))
        if draw is not None and tracked.id is not None:
            tracked.figure(draw(result.trained), SEARCH_FIGURE)
        return replace(result, rivals=_rivals(session, now) if baseline else ())


def told_of_epoch(pipeline: Pipeline, epoch: Epoch) -> str:
    """How far a fine-tuning is, in words."""
    seen = "" if epoch.valid_accuracy is None else f", validation about {epoch.valid_accuracy:.0f}%"
    return f"Fine-tuning {pipeline}: {100 * epoch.progress:.0f}%, loss {epoch.loss:.3f}{seen}"


def _go(session: PipelineSession) -> int:
    """Does what time allows; returns the best candidate's position.

    Every result is kept before the next begins; a killed run goes on where it was, also within a fine-tuning.
    """
    session.tracked.dataset(session.task.name, session.task.fingerprint)
    session.tracked.parameters(facts(session.task))
    session.recorder.begin()
    _ = session.plan
    session.notes += told_of_sample(session.task)
    probe_all(session)
    if session.measured:
        tune_all(session, ask_all if session.searcher else None)
    best = session.best()
    assert best is not None  # one probe is always done
    session.plan.save()
    session.notes += [session.plan.augmented] if session.plan.augmented else []
    return best


# long, since it names all that the result holds
def _finish(session: PipelineSession, best: int) -> PipelineResult:
    """Calibrates the best on the validation images, tests and exports it."""
    session.now("Testing and exporting the best")
    task, state = session.task, session.run.state
    truth = task.labels[task.places(VALIDATION)]
    logits = valid_logits(session)
    members = answering(session, best)
    known = state.tested is not None and state.tested[0] == best and (session.run.folder / WEIGHTS).is_file()
    if again := known and not session.worked:
        session.run.discount()
        session.tracked.discard()
        card, training = load_weights(session.run.folder / WEIGHTS)
        classifier = card.classifier(training.network)
        valid, heat = card.valid_accuracy, card.temperature
        members = members[: _answering(classifier)]  # an earlier version let fewer join, in the same order
    else:
        heats = {index: temperature(logits[index], truth) for index in members} if len(members) > 1 else {}
        made = chosen(session, best, logits, heats)
        classifier, valid, heat = made.classifier, made.valid_accuracy, made.temperature
        state.notes, state.went_on = (*told_of_fastest(session, best), *made.notes), made.went_on
    tested, found = report(classifier, task, temperature=heat, seconds=math.inf if again else _left(session))
    counts = {VALIDATION: len(read_logits(session.run).get(best, truth)), TEST: len(found.places)}
    notes = [
        *session.notes,
        *state.notes,
        *told_of_tested(found, task),
        *judgements(task, valid, tested, counts=counts, went_on=state.went_on),
    ]
    card = replace(session.card(best, classifier), valid_accuracy=valid, test_accuracy=tested, temperature=heat)
    exported = save(training_of(classifier, state.trained[best]), card, session.run.folder)
    state.tested = (best, tested)  # what is exported: told after it is there
    session.run.end()
    notes += told_of_seconds(session.run.spent, session.seconds) if session.worked else []
    for path in (exported.weights, exported.program):
        session.tracked.artifact(path, folder="model")
    return PipelineResult(
        best=session.pipeline(best),
        members=tuple(map(session.pipeline, members)),
        valid_accuracy=valid,
        test_accuracy=tested,
        trained=tuple(state.trained[index] for index in sorted(state.trained)),
        report=found,
        temperature=heat,
        rivals=(),
        folder=session.run.folder,
        seconds=session.run.spent,
        resumed=session.resumed,
        notes=tuple(notes),
        exported=exported,
    )


def _left(session: PipelineSession) -> float:
    """Seconds in which the winner is tested: a test of all images is worth a little more than the budget."""
    return (1 + GRACE) * session.seconds - session.run.spent


def _answering(classifier: Classifier) -> int:
    """How many networks answer together in it."""
    network = classifier.network
    return len(network.members) if isinstance(network, AverageNetwork) else 1


def _rivals(session: PipelineSession, now: Say) -> tuple[Rival, ...]:
    """A plain network from scratch for the same seconds, the probes that were measured on the way, ImageNet's always.

    They are kept: where the same search, given again, finds all done, it trains nothing. A killed training goes on.
    """
    task, plan, asked = session.task, session.plan, session.task.places(TEST)
    checkpoint = session.run.folder / f"{PLAIN}{session.seconds:g}.checkpoint"
    if plan.compared == session.seconds and not session.worked:
        return tuple(plan.rivals)

    def tested(classifier: Classifier) -> float | None:
        return percent_right(classifier.logits(task.images, asked), task.labels[asked]) if len(asked) else None

    scratch = Pipeline("scratch", 32, "all", 0.1)
    now(f"Training a plain network from scratch for {session.seconds:.0f} s, to compare")
    effort = Effort(seconds=session.seconds, augment=session.augmented)
    tuned = tune_pipeline(scratch, task, effort, checkpoint=checkpoint)
    name = "plain residual network from scratch"
    rivals = [Rival(name, tuned.valid_accuracy, tested(tuned.classifier), tuned.seconds)]
    for index, trained in session.run.state.trained.items():
        pipeline = session.pipeline(index)
        if pipeline.training == "probe":
            name = f"HOG, linear ({pipeline})" if pipeline.weights == "hog" else str(pipeline)
            rivals.append(Rival(name, trained.valid_accuracy, tested(session.classifier(index)), trained.seconds))
    if (found := imagenet_rival(session)) is not None:
        pipeline, probed = found
        rivals.append(Rival(str(pipeline), probed.valid_accuracy, tested(probed.classifier), probed.seconds))
    plan.compared, plan.rivals = float(session.seconds), rivals
    plan.save()
    for each in session.run.folder.glob(f"{PLAIN}*.checkpoint"):  # one for fewer seconds was killed
        each.unlink(missing_ok=True)
    return tuple(rivals)
