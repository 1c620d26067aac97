"""Training images are mirrored and shifted at random, as their generator says."""

from __future__ import annotations

import math

import pytest
import torch

from metad2a.train.moves import moved


@pytest.mark.parametrize("shape", [(5, 3, 16, 16), (4, 1, 8, 8), (2, 3, 9, 9)])
def test_augmentation_flips_and_shifts_and_keeps_the_shape(shape: tuple[int, ...]) -> None:
    x = torch.arange(1.0, 1 + math.prod(shape)).reshape(shape)
    found = moved(x, torch.Generator().manual_seed(0))
    margin = max(1, shape[-1] // 8)
    assert found.shape == x.shape
    for before, after in zip(x, found, strict=True):
        padded = torch.nn.functional.pad(torch.stack([before, before.flip(-1)]), [margin] * 4)
        windows = padded.unfold(2, shape[-1], 1).unfold(3, shape[-1], 1)  # (flip, c, dy, dx, h, w)
        same = (windows == after[None, :, None, None]).all(dim=(1, 4, 5))
        assert same.sum() == 1


def test_augmentation_varies_and_repeats_by_its_generator() -> None:
    x = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    first, again = (moved(x, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, moved(x, torch.Generator().manual_seed(2)))
