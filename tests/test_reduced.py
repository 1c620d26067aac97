"""A reduced space keeps the shape of its space and some of the options."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from databases.architectures.skeleton import Skeleton
from databases.architectures.space import SPACES, Architecture, ImageSpace, image_space, space
from databases.architectures.spaces.reduced import Reduced
from databases.errors import UserError

WHOLE = image_space("nasbench201")
IMAGE_SPACES = [each.name for each in SPACES.values() if isinstance(each, ImageSpace)]
GOOD = WHOLE.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|")


def test_it_holds_all_that_uses_what_the_examples_use() -> None:
    reduced = Reduced.around([GOOD])
    assert reduced.name == "nasbench201:nor_conv_3x3+skip_connect" and reduced.size == 2**6
    texts = {str(each) for each in reduced.enumerate()}
    assert texts == {str(each) for each in WHOLE.enumerate() if set(each.walk) <= {1, 3}}


@pytest.mark.parametrize("name", IMAGE_SPACES)
def test_its_architectures_are_those_of_its_space(name: str) -> None:
    rng = np.random.default_rng(0)
    whole = image_space(name)
    example = whole.sample(rng)
    reduced = Reduced.around([example])
    assert reduced.whole(reduced.within(example)) == example
    for _ in range(5):
        found = reduced.sample(rng)
        assert reduced.within(reduced.whole(found)) == found == reduced.parse(str(found))
        assert str(found) == str(reduced.whole(found)) and reduced.key(found) == whole.key(reduced.whole(found))
        assert np.array_equal(reduced.graphs([found]).types, whole.graphs([reduced.whole(found)]).types)


def test_it_is_found_by_its_name_and_builds_networks() -> None:
    found = space("nasbench201:nor_conv_3x3+skip_connect")
    assert isinstance(found, Reduced)
    each = pickle.loads(pickle.dumps(found.sample(np.random.default_rng(1))))
    network = found.network(each, Skeleton(channels=2, cells=1, classes=3))
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


def test_another_option_is_refused() -> None:
    reduced = Reduced.around([GOOD])
    with pytest.raises(UserError, match=r"avg_pool_3x3.*it allows skip_connect, nor_conv_3x3"):
        reduced.within(Architecture(WHOLE.name, (4, 3, 3, 3, 3, 3)))
    with pytest.raises(UserError, match=r"unknown option 'conv9'.*nor_conv_3x3"):
        space("nasbench201:conv9")
    with pytest.raises(UserError, match="unknown space 'nasbench301'"):
        space("nasbench301:conv9")
    with pytest.raises(UserError, match="give one or more"):
        Reduced.around([])
