"""What tests of the store and of the importers share: the one line of an error, and what records hold."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

import pytest

from databases.errors import UserError
from databases.records.store import Store


def says(error: pytest.ExceptionInfo[UserError]) -> str:
    """The message, which is one line of bearable length."""
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    return message


def by_key(store: Store) -> dict[tuple[str, str, int], tuple[float | None, float | None, float | None]]:
    """(data set, recipe, seed) -> validation and test accuracy, seconds."""
    return {
        (each.task.split("/")[1], each.recipe, each.seed): (each.valid_accuracy, each.test_accuracy, each.train_seconds)
        for each in store.records(space="nasbench201")
    }


def started(target: Callable[..., None], *arguments: object) -> multiprocessing.process.BaseProcess:
    """A new process that runs the function."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    return process
