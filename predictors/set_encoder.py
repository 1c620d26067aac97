"""Set encoder: a task's image features -> one vector, whatever the order of images and classes.

Attention within each class, then between the classes (set transformer; Lee et al., 2019; MetaD2A: Lee, Hyung, Hwang,
2021), with a few plain statistics of the task beside it. Built on torch alone: importing torch-geometric costs a user
of `recommend` seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from databases.datasets.features import PLAIN, TaskFeatures


@dataclass(frozen=True)
class TaskBatch:
    """Several tasks, end to end.

    Attributes:
        features: (images, d). of_class: (images,) the class of each, counted over all tasks, ascending.
        of_task: (classes,) the task of each class, ascending. statistics: (tasks, s).
    """

    features: Tensor
    of_class: Tensor
    of_task: Tensor
    statistics: Tensor


def collate(tasks: Sequence[TaskFeatures], rng: np.random.Generator | None = None) -> TaskBatch:
    """Joins tasks; with ``rng`` each keeps only 1 to 20 drawn images a class (for training)."""
    features, of_class, of_task, classes = [], [], [], 0
    for number, task in enumerate(tasks):
        keep = np.arange(len(task.labels)) if rng is None else _some(task.labels, rng)
        features.append(task.features[keep])
        of_class.append(task.labels[keep] + classes)
        count = int(task.labels.max()) + 1
        of_task.append(np.full(count, number))
        classes += count
    return TaskBatch(
        torch.from_numpy(np.concatenate(features)),
        torch.from_numpy(np.concatenate(of_class)),
        torch.from_numpy(np.concatenate(of_task)),
        torch.from_numpy(np.stack([task.statistics[: len(PLAIN)] for task in tasks])),
    )


class AttentionBlock(nn.Module):
    """Each of x looks at all of y, then at itself (the multihead attention block of Lee et al., 2019)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.straight = nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, x: Tensor, y: Tensor, missing: Tensor | None = None) -> Tensor:
        """(sets, n, width), (sets, m, width), (sets, m) True where y holds nothing -> (sets, n, width)."""
        seen, _ = self.attention(x, y, y, key_padding_mask=missing, need_weights=False)
        x = self.norms[0](x + seen)
        out: Tensor = self.norms[1](x + torch.relu(self.straight(x)))
        return out


class SetTransformer(nn.Module):
    """Sets -> one vector each: the members look at each other, then a learnt seed looks at them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.among = AttentionBlock(width, heads)
        self.before = nn.Linear(width, width)
        self.seed = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, width)))
        self.pool, self.after = AttentionBlock(width, heads), AttentionBlock(width, heads)

    def forward(self, x: Tensor, of: Tensor, sets: int) -> Tensor:
        """(n, width) members, (n,) the set of each, ascending, every set with a member -> (sets, width)."""
        sizes = torch.bincount(of, minlength=sets)
        within = torch.arange(len(of)) - (sizes.cumsum(0) - sizes)[of]
        members = x.new_zeros(sets, int(sizes.max()), x.shape[1])
        members[of, within] = x
        missing = torch.arange(members.shape[1]) >= sizes[:, None]
        members = torch.relu(self.before(self.among(members, members, missing)))
        pooled = self.pool(self.seed.expand(sets, 1, -1), members, missing)  # (sets, 1, width)
        vectors: Tensor = self.after(pooled, pooled)[:, 0]
        return vectors


class SetEncoder(nn.Module):
    """Tasks -> one vector each; invariant to the order of images in a class and of classes in a task.

    Args:
        features: size of an image's features. width: size of the vectors. heads: attention heads.
        dropout: on the joined vector.
    """

    def __init__(self, *, features: int, width: int, heads: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(features, width), nn.ReLU())
        self.within = SetTransformer(width, heads)
        self.between = SetTransformer(width, heads)
        self.statistics = nn.Sequential(nn.Linear(len(PLAIN), width), nn.ReLU())
        self.join = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, width), nn.LayerNorm(width))

    def forward(self, batch: TaskBatch) -> Tensor:
        """A batch of tasks -> (tasks, width)."""
        x = self.project(batch.features)  # (images, width)
        classes = self.within(x, batch.of_class, len(batch.of_task))  # (classes, width)
        tasks = self.between(classes, batch.of_task, len(batch.statistics))  # (tasks, width)
        joined: Tensor = self.join(torch.cat([tasks, self.statistics(batch.statistics)], dim=-1))
        return joined


def _some(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Indices of 1 to 20 images a class (the same number for each), in ascending order of class."""
    count = int(rng.integers(1, 21))
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    sorted_labels = labels[order]
    first = np.searchsorted(sorted_labels, sorted_labels)
    return order[np.arange(len(order)) - first < count]
