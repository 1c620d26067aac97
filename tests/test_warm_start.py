"""The generator as a searcher, and the warm start that goes on learning from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_up import GENERATOR, task

from databases.architectures.decisions import Walk
from databases.architectures.space import Architecture, finite_space, space
from databases.datasets import features
from databases.datasets.task import Task, split
from databases.errors import UserError
from databases.records.recipe import recipe
from metad2a.generate.generator import Generator
from metad2a.search.controllers import controller, options
from metad2a.search.controllers.controller import Setting
from metad2a.search.controllers.policy_gradient import PolicyGradient
from metad2a.search.controllers.warm_start import WARM, from_generator, generated, warm_start
from metad2a.search.searchers import recommended

NASBENCH = finite_space("nasbench201")


def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(GENERATOR).eval()


def probabilities(policy: PolicyGradient, walks: Sequence[Walk]) -> torch.Tensor:
    context = policy.embedding()
    return policy.decoder.score(context.expand(len(walks), -1), walks).log_probability.detach()


def taught(policy: PolicyGradient, rounds: int = 4) -> list[Architecture]:
    asked = []
    for _ in range(rounds):
        asked += policy.ask(5)
        policy.tell(asked[-5:], [float(sum(each.walk)) for each in asked[-5:]])
    return asked


def test_the_first_policy_is_the_generators_for_the_task() -> None:
    model, features = generator(), task(1)
    walks = [(0, 1, 2, 3, 4, 0), (3, 3, 3, 3, 3, 3), (1, 0, 0, 2, 2, 4)]
    z = model.latent(features, recipe="tiny")
    expected = model.decoder.score(z.expand(3, -1), walks).log_probability.detach()
    policy = warm_start(NASBENCH, **from_generator(model, features, recipe="tiny"))
    torch.testing.assert_close(probabilities(policy, walks), expected)
    other = warm_start(NASBENCH, **from_generator(model, task(2, at=3.0), recipe="tiny"))
    assert not torch.allclose(probabilities(other, walks), expected, atol=1e-4)


def test_it_learns_on_and_leaves_the_generator_as_it_was() -> None:
    model = generator()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    policy = warm_start(
        NASBENCH, rule=replace(WARM, learning_rate=1e-2), **from_generator(model, task(), recipe="tiny")
    )
    context = policy.embedding()
    taught(policy, 12)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not torch.equal(policy.embedding(), context)
    still = generated(NASBENCH, **from_generator(model, task(), recipe="tiny"))
    means = [sum(map(sum, (each.walk for each in one.draw(200)))) / 200 for one in (policy, still)]
    assert means[0] > means[1] + 2


def test_the_generator_alone_learns_nothing() -> None:
    policy = generated(NASBENCH, **from_generator(generator(), task(), recipe="tiny"))
    before = policy.draw(50)
    assert len(set(taught(policy))) == 20
    assert policy.draw(50) == before


def test_another_space_is_refused() -> None:
    with pytest.raises(
        UserError, match="given the space 'nas-rl': the generator writes architectures of 'nasbench201'"
    ):
        warm_start(space("nas-rl"), **from_generator(generator(), task(), recipe="tiny"))
    with pytest.raises(UserError, match="the generator knows nasbench201"):
        options("warm-start", space("nas-rl"), Setting("nasbench201/cifar10"))


def test_a_task_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no images of 'nasbench201/cifar10'"):
        options("generator", NASBENCH, Setting("nasbench201/cifar10", data=tmp_path))


def test_the_shipped_generator_begins_a_search(shared: Path) -> None:
    made = controller(
        "warm-start", NASBENCH, **options("warm-start", NASBENCH, Setting("nasbench201/fashion_mnist", data=shared))
    )
    assert len(taught(made, 2)) == 10  # type: ignore[arg-type]


def test_a_search_begins_with_what_its_recommendation_saw_of_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(12) % 2
    images = Task("toy", np.zeros((12, 8, 8, 1), np.uint8), labels, split(labels), ("a", "b"))
    best = SimpleNamespace(architecture=NASBENCH.classes[0], flops=1, expected_seconds=None, expected_accuracy=None)
    answer = SimpleNamespace(candidates=[best], weights="w", noise=None, same_for_all=False, features=task(1))
    model = SimpleNamespace(generator=generator(), recommend=lambda data, **options: answer)
    monkeypatch.setattr(features, "extract", None)  # the images are looked at once
    begun = recommended("warm-start", model, images, recipe=recipe("tiny"), seed=7).controller
    assert isinstance(begun, PolicyGradient)
    walks = [(0, 1, 2, 3, 4, 0), (3, 3, 3, 3, 3, 3)]
    expected = warm_start(NASBENCH, **from_generator(model.generator, task(1), recipe="tiny"))
    torch.testing.assert_close(probabilities(begun, walks), probabilities(expected, walks))
