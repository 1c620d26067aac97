"""Our optimisers take torch's steps, and keep its compiler out of a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from metad2a.train import optimisers

ROOT = Path(__file__).parents[1]
KINDS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    "Adam": {"lr": 0.1, "betas": (0.5, 0.99)},
    "AdamW": {"lr": 0.1},
}


def trained(kind: Any, options: dict[str, Any]) -> tuple[list[Tensor], str]:
    """Weights after each of some steps, and the state; it is written and read on the way, and a group added."""
    network, late, seen = nn.Linear(2, 2), nn.Parameter(torch.ones(2)), []
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.3, -0.2], [0.1, 0.4]]))
        network.bias.zero_()
    made = kind(network.parameters(), **options)
    made.add_param_group({"params": [late], "lr": 0.01})
    schedule = OneCycleLR(made, [0.2, 0.02], total_steps=8)
    for step in range(8):
        made.zero_grad()
        (network(late[None]) ** 2).sum().backward()
        made.step()
        schedule.step()
        seen += [network.weight.detach().clone(), late.detach().clone()]
        if step == 3:
            made.load_state_dict(made.state_dict())
    assert all(not each.requires_grad for each in made.state_dict()["state"][0].values() if isinstance(each, Tensor))
    return seen, str(made.state_dict())


@pytest.mark.parametrize("name", KINDS)
def test_steps_and_state_are_those_of_torch(name: str) -> None:
    ours, theirs = (trained(getattr(each, name), KINDS[name]) for each in (optimisers, torch.optim))
    assert all(torch.equal(*pair) for pair in zip(ours[0], theirs[0], strict=True)) and ours[1] == theirs[1]
    assert not torch.equal(ours[0][0], ours[0][-2])


def test_a_training_does_not_import_the_compiler() -> None:
    """All of its methods are called, those of a checkpoint too; so are the rate's."""
    program = (
        "import sys, test_optimisers; from metad2a.train import optimisers, loop, train, finetune\n"
        "for name, options in test_optimisers.KINDS.items():\n"
        "    test_optimisers.trained(getattr(optimisers, name), options)\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=ROOT)
