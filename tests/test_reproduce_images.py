"""Demonstrations that need image sources say so before they work."""

from __future__ import annotations

from typing import Any

import pytest

from databases.errors import UserError
from metad2a.reproduce import find_demonstration
from metad2a.reproduce.demonstration import Context


class Idle(Context):
    """Refuses to work."""

    def run(self, follow: Any, jobs: Any) -> Any:
        """Nothing."""
        raise AssertionError("it worked before it looked for its images")


@pytest.mark.parametrize("name", ["enas", "mdenas", "shufflenasnets", "instanas", "task-similarity", "nsganetv2"])
def test_a_full_run_without_image_sources_is_refused_before_it_works(name: str) -> None:
    with pytest.raises(UserError, match=r"^the images of '.*' are needed and .*: set METAD2A_SHARED or give --images$"):
        find_demonstration(name).run(Idle(fast=False, say=lambda line: None))
