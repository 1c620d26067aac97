"""The end of a search for networks: with the time left the best is trained once more, tested once and exported."""

from __future__ import annotations

import math
from dataclasses import replace

from databases.datasets.task import TEST, VALIDATION
from databases.errors import UserError
from metad2a.export.export import Exported, card_of_training, save
from metad2a.search.budget import with_validation_images
from metad2a.search.candidate import Job
from metad2a.search.judgement import ended, judgements, remarks, told_of_probe, told_of_seconds
from metad2a.search.result import SearchResult
from metad2a.search.run_state import best_of, tested_card
from metad2a.search.session import Session
from metad2a.search.tracked import SEARCH_FIGURE, known_values
from metad2a.train.inference import accuracy
from metad2a.train.torch_place import pick_place
from metad2a.train.training import Progress, Training

AGAIN = (
    "the exported network was trained once more with the time that was left, on validation images too; its validation "
    "accuracy is of before"
)


def finished(session: Session) -> SearchResult:
    """Tests the best once, exports it and sums the search up."""
    state = session.run.state
    best = best_of(state, session.positions())
    if best is None and not session.asked:
        raise UserError("the searcher had nothing to propose: give another one, such as surrogate or evolution")
    if best is None:
        limit, prepared = session.budget.limit, session.run.prepared
        rest = "alone took" if prepared >= limit else "and what is timed and tried before a training took"
        raise UserError(
            f"the budget of {limit:g} seconds was over before the first step of training: reading and ranking {rest} "
            f"{max(prepared, session.run.spent):.0f} s; give the same command with a larger one to go on"
        )
    _train_again(session, best)
    again = state.again is not None and state.again[0] == best
    card, training = session.run.weights_again() if again else session.run.weights(best)
    if state.tested is None or state.tested[0] != best:
        session.worked = True
        state.tested = (best, _test(session, training))
        session.tell("tested", best, trained=state.trained[best])
    exported = save(training, tested_card(card, state, best), session.run.folder)
    if not session.worked:
        session.run.discount()
        session.tracked.discard()
    session.run.end()
    session.tracked.metrics(
        known_values(valid_accuracy=card.valid_accuracy, test_accuracy=state.tested[1], seconds=session.run.spent)
    )
    for path in (exported.weights, exported.program):
        session.tracked.artifact(path, folder="model")
    result = _result(session, best, exported)
    if session.draw is not None and session.tracked.id is not None:
        session.tracked.figure(session.draw(result.trained), SEARCH_FIGURE)
    return result


def _train_again(session: Session, best: int) -> None:
    """Trains the best once more with the time that is left, on validation images too, which it must know better."""
    state, trained = session.run.state, session.run.state.trained[best]
    architecture = trained.architecture
    if not trained.complete or (state.again is not None and state.again[0] == best):
        return
    steps, checkpoint = session.budget.last_steps(architecture), session.run.checkpoint(best, again=True)
    if steps is None and not checkpoint.is_file():
        return
    session.worked = True
    takes = steps * session.budget.pace(architecture) if steps else session.budget.left(architecture)
    session.tell("again", best, expected=takes if takes < math.inf else None)

    def tick(progress: Progress) -> None:
        session.run.tick()

    least = steps or 1  # one that was killed had its time, and goes on with the steps that were planned then
    job = Job(best, architecture, session.budget.deadline(architecture), least, checkpoint)
    done = replace(session.work(), task=with_validation_images(session.small), finished=()).train(job, tick)
    reached = accuracy(done.training, session.small, VALIDATION)
    trained_out = done.training.complete or done.training.shortened
    if trained_out and reached is not None and reached >= (trained.valid_accuracy or 0.0):
        whole = replace(done.training, complete=True, valid_accuracy=trained.valid_accuracy)
        card = card_of_training(
            whole, task=session.task, architecture=architecture, recipe=session.recipe, seed=session.seed
        )
        session.run.keep_again(best, whole, card)
    checkpoint.unlink(missing_ok=True)


def _result(session: Session, best: int, exported: Exported) -> SearchResult:
    state = session.run.state
    trained = tuple(state.trained[index] for index in session.positions() if index in state.trained)
    again = state.again is not None and state.again[0] == best
    out_of_time = any(index not in state.trained or not state.trained[index].done for index in session.asked)
    notes = [
        *session.notes,
        *([ended(trained, session.count)] if out_of_time else []),
        *remarks(trained, state.trained[best], recipe=session.recipe.name),
        *([state.change[2]] if state.change is not None and state.change[2] else []),
        *told_of_probe(state.probed, exported.card.valid_accuracy),
        *(told_of_seconds(session.run.spent, session.budget.limit) if session.worked else []),
        *([AGAIN] if again else []),
    ]
    card = exported.card
    notes += judgements(session.task, card.valid_accuracy, card.test_accuracy, went_on=again)
    return SearchResult(
        best=state.candidates[best].architecture,
        valid_accuracy=exported.card.valid_accuracy,
        test_accuracy=exported.card.test_accuracy,
        trained=trained,
        folder=session.run.folder,
        seconds=session.run.spent,
        resumed=session.resumed,
        stopped_by="time" if out_of_time else "trainings",
        notes=tuple(notes),
        exported=exported,
    )


def _test(session: Session, training: Training) -> float | None:
    """Accuracy in percent on the test images, computed where the search trains."""
    training.network.to(pick_place(session.place.on))
    tested = accuracy(training, session.small, TEST)
    training.network.cpu()
    return tested
