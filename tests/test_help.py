"""What the program says of itself, and what saying it may import."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_world import QUICK, run
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from databases.records.recipe import RECIPES
from metad2a.cli.app import app

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.usefixtures("home")


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    for name, each in group.commands.items():
        if isinstance(each, TyperGroup):
            yield from commands(each, (*path, name))
        else:
            assert isinstance(each, TyperCommand)
            yield (*path, name), each


def every_command() -> list[tuple[tuple[str, ...], TyperCommand]]:
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    return list(commands(root))


@pytest.mark.parametrize(("path", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in every_command()])
def test_every_command_says_what_it_and_its_options_do_and_knows_json(
    path: tuple[str, ...], command: TyperCommand
) -> None:
    result = run(*path, "--help")
    said = " ".join(result.stdout.split()).replace("meta- model", "meta-model")  # where a line ends in a hyphen
    assert result.exit_code == 0 and (command.help or "").splitlines()[0].rstrip(".") in said
    assert "--json" in result.stdout or path[0] in ("serve", "worker")  # which answer nobody at the terminal
    assert all(getattr(each, "help", None) for each in command.params)


@pytest.mark.parametrize("command", ["search", "train"])
def test_help_names_the_recipes_that_can_train(command: str) -> None:
    usable = [name for name, each in RECIPES.items() if not each.published and each is not QUICK]
    assert "|".join(usable) in run(command, "--help").stdout


READING = [*(ROOT / "databases" / "datasets").glob("*.py"), ROOT / "metad2a" / "supernets" / "images.py"]


def test_every_command_that_reads_labelled_images_has_the_options_that_messages_on_them_name() -> None:
    named = {option for path in READING for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", path.read_text("utf-8"))}
    reading = {
        path: command for path, command in every_command() if any(each.name == "data" for each in command.params)
    }
    assert "--groups" in named and {path[0] for path in reading} >= {"recommend", "search", "train", "pretrain"}
    for path, command in reading.items():
        lacking = named - {option for each in command.params for option in each.opts}
        assert not lacking, f"{' '.join(path)} has no {lacking}"


def test_nothing_asked_shows_the_help_with_every_command() -> None:
    result = run()
    assert result.exit_code == 0
    assert all(path[0] in result.stdout for path, _ in every_command())


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "sqlalchemy", "mlflow", "sklearn", "rich", "matplotlib"}
    code = f"import sys; from metad2a.cli import app; print(*{heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_devices_are_listed_without_torch() -> None:
    code = "import sys; from metad2a.devices.devices import devices; print(len(devices()) > 20, 'torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "False"]


def test_what_a_network_costs_is_told_without_sympy() -> None:
    code = (
        "import sys; from databases.architectures.networks import cost;"
        "from torch import nn; made = lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4));"
        "it = cost.with_zeros(cost.without_weights(made)); print(cost.multiply_adds(it, (3, 8, 8)));"
        "print(*(each.device.type for each in (*it.parameters(), *it.buffers()) if each.any()));"
        "print('sympy' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == [str(36 * 4 * 27), "False"]
