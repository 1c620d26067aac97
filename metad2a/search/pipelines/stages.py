"""What a run of pipelines has planned: `plan.json` beside its state, so that a killed one goes on where it was."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from databases.errors import UserError
from metad2a.runtime.files import keep_files
from metad2a.search.runs import CANDIDATES

PLAN, CHECKPOINT = "plan.json", "{}-{}.checkpoint"  # the latter of a candidate and a stage, by their positions
LAST_ROUND = 3


@dataclass(frozen=True)
class Stage:
    """One fine-tuning, or probe that a searcher asked for, that is planned: see `Plan.begun`.

    Attributes:
        pipeline: its text. seconds: what it was given.
        again: whether it goes on from its own weights, not from the probe's.
        round: 1 for those that compete, 2 for what the best gets, `LAST_ROUND` with validation images too.
        done: whether nothing more is to be done.
        budget: seconds of the search that planned it; 0 in plans of before this was noted, which any later one exceeds.
    """

    pipeline: str
    seconds: float
    again: bool
    round: int
    done: bool = False
    budget: float = 0.0


@dataclass(frozen=True)
class Rival:
    """What the same seconds give without a choice: accuracies in percent, and seconds of training."""

    name: str
    valid_accuracy: float | None
    test_accuracy: float | None
    seconds: float


@dataclass
class Plan:
    """All stages in order; by the pipelines' texts validation log-losses of what is kept and penalties of probes.

    With limits also the milliseconds that one image took; what was told of augmentation; what a search of so many
    seconds was compared with.
    """

    folder: Path
    stages: list[Stage] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)
    penalties: dict[str, float] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)
    augmented: str = ""
    compared: float = 0.0
    rivals: list[Rival] = field(default_factory=list)

    def add(self, stage: Stage) -> None:
        """Notes a stage, before anything of it begins."""
        self.stages.append(stage)
        self.save()

    def begun(self, stage: Stage) -> bool:
        """Whether anything of a stage was trained and kept."""
        return stage.done or any((self.folder / CANDIDATES).glob(CHECKPOINT.format("*", self.stages.index(stage))))

    def forget(self, *, budget: float) -> None:
        """Leaves out what a smaller budget planned last and had no time to begin: a larger one has more for it.

        Of those that compete with one that was begun each keeps its share.
        """
        while self.stages and budget > (last := self.stages[-1]).budget and not self.begun(last):
            if last.round == 1 and any(map(self.begun, self.stages)):
                break
            self.stages.pop()

    def finish(self, stage: Stage) -> None:
        """Notes that a stage is done."""
        self.stages = [replace(each, done=True) if each == stage else each for each in self.stages]
        self.save()

    def round(self, number: int) -> list[Stage]:
        """The stages of a round."""
        return [each for each in self.stages if each.round == number]

    def save(self) -> None:
        """Writes the plan at once or not at all."""
        values = {**vars(self), **{name: list(map(asdict, getattr(self, name))) for name in ("stages", "rivals")}}
        del values["folder"]
        keep_files(self.folder, {PLAN: json.dumps(values, indent=1).encode()})


def read_plan(folder: Path) -> Plan:
    """The plan of a run's folder, an empty one where there is none; raises `UserError` where it is damaged."""
    try:
        values = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        losses, penalties, times = (
            {str(text): float(each) for text, each in values.get(name, {}).items()}
            for name in ("losses", "penalties", "milliseconds")
        )
        stages = [Stage(**each) for each in values["stages"]]
        rivals = [Rival(**each) for each in values.get("rivals", [])]
        told, compared = str(values.get("augmented", "")), float(values.get("compared", 0.0))
        return Plan(folder, stages, losses, penalties, times, told, compared, rivals)
    except FileNotFoundError:
        return Plan(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UserError(
            f"the plan of the run in {str(folder)!r} cannot be read ({' '.join(str(problem).split())[:80]}): "
            "remove that folder to start again"
        ) from problem
