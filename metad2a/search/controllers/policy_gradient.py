"""Policy-gradient controllers: the one recurrent policy, taught by the scores of what it drew.

Every update raises, over a batch of walks with advantages A and probability ratios r = pi(walk) / pi when drawn,

    mean of min(r A, clip(r, 1 - e, 1 + e) A)  +  c * entropy

One pass over fresh walks (r = 1) is REINFORCE (Williams, 1992) with a moving-average baseline, as in NAS with RL
(Zoph, Le, 2017); several passes are PPO (Schulman et al., 2017), as in NASNet (Zoph et al., 2018). With a learnt
embedding of the task as context, replay over all tasks and a baseline for each it is multitask neural model search
(Wong, Gesmundo, 2017; Wong, Houlsby, Lu, Gesmundo, 2018). In a graph not every walk meets every decision: with a
baseline of its own, a decision is compared with the walks that met it, which leaves the gradient unbiased.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from databases.architectures.decisions import Walk
from databases.architectures.space import Architecture, Space
from databases.errors import UserError
from databases.hosting import lent
from metad2a.generate.decoder import GraphDecoder, Walks
from metad2a.search.controllers.controller import Controller, unseen
from metad2a.search.controllers.learning_rule import MULTITASK, PROXIMAL, REINFORCE, Rule
from metad2a.search.controllers.memory import Memory, RunningMean, Sample
from metad2a.train.optimisers import Adam

FARTHEST = 3.0  # largest normalised advantage: one failed training must not outweigh a batch


class PolicyGradient(Controller):
    """A `GraphDecoder` that learns from scores, for one task or several.

    Walks drawn again after they were scored cost nothing: they enter the next update with the score they have, so
    that the batch stays a fair draw from the policy although none is proposed twice.

    Args:
        rule: how it learns. repeats: whether it may propose a walk again. tasks: the first is the default one.
        context: size of a task's learnt embedding, 0 for none.
        decoder: the policy to go on with, instead of a fresh one; it is trained in place.
        contexts: (tasks, context) embeddings to begin with, instead of small random ones.
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        rule: Rule = REINFORCE,
        repeats: bool = False,
        tasks: Sequence[str] = ("",),
        context: int = 0,
        decoder: GraphDecoder | None = None,
        contexts: Tensor | None = None,
    ) -> None:
        super().__init__(space, seed=seed)
        self.rule, self.repeats, self.context = rule, repeats, context
        with lent(seed=seed):
            self.decoder = decoder or GraphDecoder(space, context=context, width=64)
        self._draws = torch.Generator().manual_seed(seed)
        self._rng = np.random.default_rng([seed, 1])
        self._optimiser = Adam(self.decoder.parameters(), lr=rule.learning_rate)
        self._tasks: dict[str, Memory] = {}
        self._fresh: list[Sample] = []
        self._bank: list[Sample] = []
        self._told = 0
        for i, name in enumerate(tasks):
            self.add_task(name, None if contexts is None else contexts[i])

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks."""
        return tuple(self._tasks)

    def add_task(self, name: str, context: Tensor | None = None) -> None:
        """A new task, with an embedding of its own; ``context`` (c,) is where it begins, by default at random."""
        if context is None:
            context = 0.1 * torch.randn(self.context, generator=self._draws) if self.context else torch.zeros(1)
        context = context.detach().clone()
        if self.context:
            self._optimiser.add_param_group({"params": [context.requires_grad_()]})
        self._tasks[name] = Memory(context, RunningMean(self.rule.decay))

    def embedding(self, task: str | None = None) -> Tensor:
        """(c,) what stands for a task now; a copy."""
        return self._memory(task).context.detach().clone()

    def ask(self, count: int, *, task: str | None = None) -> list[Architecture]:
        """Draws from the policy until ``count`` are new."""
        name, size = self._name(task), count
        memory = self._tasks[name]

        def draw() -> Architecture:
            nonlocal size
            if not memory.drawn:
                memory.drawn, size = self._sample(memory, max(size, self.rule.batch, self.rule.draws)), 0
            walk, old = memory.drawn.pop()
            if walk not in memory.scores or self.repeats:
                memory.old[walk] = old
            elif len(self._fresh) < self.rule.again:
                self._fresh.append(Sample(name, walk, memory.scores[walk], old))
            return Architecture(self.space.name, walk)

        if self.repeats:
            return [draw() for _ in range(count)]
        return unseen(self.space, draw, count, seen=memory.seen, rng=self._rng)

    def tell(self, architectures: Sequence[Architecture], scores: Sequence[float], *, task: str | None = None) -> None:
        """Learns as soon as a batch of scores is there."""
        name = self._name(task)
        memory = self._tasks[name]
        walks = [each.walk for each in architectures]
        if strangers := [each for each in architectures if each.walk not in memory.old]:
            found = self.log_probability(strangers, task=name)
            memory.old |= dict(zip([each.walk for each in strangers], found.tolist(), strict=True))
        old = [memory.old[walk] for walk in walks]
        self._fresh += [Sample(name, *each) for each in zip(walks, map(float, scores), old, strict=True)]
        for walk in walks:
            memory.old.pop(walk, None)  # told again without being asked, it is a draw from the policy of that time
        memory.seen.update(walks)
        memory.scores |= dict(zip(walks, map(float, scores), strict=True))
        self._told += len(walks)
        if self._told >= self.rule.batch:
            self._update()

    @torch.inference_mode()
    def draw(
        self, count: int, *, seed: int = 0, task: str | None = None, temperature: float = 1.0
    ) -> list[Architecture]:
        """``count`` draws from the policy as it is, repeats included; proposes nothing and changes nothing."""
        generator = torch.Generator().manual_seed(seed)
        context = self._memory(task).context.expand(count, -1)
        found = self.decoder.sample(context, generator=generator, temperature=temperature)
        return [Architecture(self.space.name, walk) for walk in found.walks]

    @torch.inference_mode()
    def log_probability(self, architectures: Sequence[Architecture], *, task: str | None = None) -> Tensor:
        """(n,) log probabilities that the policy, as it is, draws these walks."""
        context = self._memory(task).context.expand(len(architectures), -1)
        return self.decoder.score(context, [each.walk for each in architectures]).log_probability

    def likeliest(self, *, task: str | None = None) -> Architecture:
        """The walk that takes the likeliest choice each time."""
        return self.draw(1, task=task, temperature=1e-4)[0]

    def objective(self, samples: Sequence[Sample], advantages: Tensor) -> Tensor:
        """What an update raises: samples and their (n,) advantages -> a scalar."""
        contexts = torch.stack([self._tasks[each.task].context for each in samples])
        scored = self.decoder.score(contexts, [each.walk for each in samples])
        old = torch.tensor([each.log_probability for each in samples])
        ratio = (scored.log_probability - old).exp()
        clipped = ratio.clamp(1 - self.rule.clip, 1 + self.rule.clip)
        gain = torch.minimum(ratio * advantages, clipped * advantages)
        raised = gain.mean() + self.rule.entropy * scored.entropy.mean()
        return raised + self._own_baselines(samples, scored) if self.rule.own_baselines else raised

    def _own_baselines(self, samples: Sequence[Sample], scored: Walks) -> Tensor:
        """Moves each decision's baseline from that of the task to its own."""
        bases = {name: self._baseline(name, samples) for name in {each.task for each in samples}}
        moved = torch.zeros(())
        own = {met: self._own_baseline(*met, scores) for met, scores in self._met(samples).items()}
        for decision, rows, log_probability in scored.steps:
            shifts = [bases[task][0] - own[task, decision] for task in (samples[i].task for i in rows.tolist())]
            moved = moved + (torch.tensor(shifts) * log_probability).sum()
        return moved / len(samples)

    def _own_baseline(self, task: str, decision: str, scores: Sequence[float]) -> float:
        """Mean score of the walks that met a decision before; the first ones are their own baseline."""
        known = self._tasks[task].of_decision.get(decision)
        return float(np.mean(scores)) if known is None else known.mean

    def _met(self, samples: Sequence[Sample]) -> dict[tuple[str, str], list[float]]:
        """(task, decision) -> the scores of the samples that met it."""
        found: dict[tuple[str, str], list[float]] = {}
        for each in samples:
            for decision in sorted(self.space.met(each.walk)):
                found.setdefault((each.task, decision), []).append(each.score)
        return found

    def advantages(self, samples: Sequence[Sample]) -> Tensor:
        """(n,) scores above their task's baseline as it was before them; a first batch is its own baseline."""
        bases = {name: self._baseline(name, samples) for name in {each.task for each in samples}}
        above = np.array([each.score - bases[each.task][0] for each in samples])
        if self.rule.normalise:
            units = np.array([max(bases[each.task][1], 1e-12) for each in samples])
            above = np.clip(above / units, -FARTHEST, FARTHEST)
        return torch.from_numpy(above).float()

    def _baseline(self, name: str, samples: Sequence[Sample]) -> tuple[float, float]:
        """Mean and deviation of a task's scores before ``samples``."""
        average = self._tasks[name].average
        if average.weight:
            return average.mean, average.deviation
        first = [each.score for each in samples if each.task == name]
        return float(np.mean(first)), float(np.std(first))

    def _update(self) -> None:
        fresh, self._fresh, self._told = self._fresh, [], 0
        earlier = self._rng.permutation(len(self._bank))[: self.rule.replay]
        batch = fresh + [self._bank[i] for i in earlier]
        advantages = self.advantages(batch)
        for _ in range(self.rule.epochs):  # no loop: it waits for scores, and its state is the controller's own
            self._optimiser.zero_grad()
            (-self.objective(batch, advantages)).backward()
            nn.utils.clip_grad_norm_(self.decoder.parameters(), 1.0)
            self._optimiser.step()
        for each in fresh:
            self._tasks[each.task].average.add(each.score)
        if self.rule.own_baselines:
            for (task, decision), scores in self._met(fresh).items():
                average = self._tasks[task].of_decision.setdefault(decision, RunningMean(self.rule.decay))
                for score in scores:
                    average.add(score)
        if self.rule.replay:
            self._bank += fresh
        for memory in self._tasks.values():
            memory.drawn.clear()

    def _name(self, task: str | None) -> str:
        name = next(iter(self._tasks)) if task is None else task
        if name not in self._tasks:
            raise UserError(f"unknown task {name!r}: this controller knows {', '.join(self._tasks)}; add it first")
        return name

    def _memory(self, task: str | None) -> Memory:
        return self._tasks[self._name(task)]

    @torch.inference_mode()
    def _sample(self, memory: Memory, count: int) -> list[tuple[Walk, float]]:
        found = self.decoder.sample(memory.context.expand(count, -1), generator=self._draws)
        return list(zip(found.walks, found.log_probability.tolist(), strict=True))


def proximal(space: Space, *, seed: int = 0, rule: Rule = PROXIMAL, **options: Any) -> PolicyGradient:
    """PPO; see `PolicyGradient`."""
    return PolicyGradient(space, seed=seed, rule=rule, **options)


def multitask(
    space: Space, *, seed: int = 0, rule: Rule = MULTITASK, context: int = 16, **options: Any
) -> PolicyGradient:
    """One controller for many ``tasks``; see `PolicyGradient`."""
    return PolicyGradient(space, seed=seed, rule=rule, context=context, **options)
