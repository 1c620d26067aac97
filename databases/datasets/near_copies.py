"""Images that belong together: copies of one picture, frames of one track, crops of one scene.

A validation part drawn image by image would hold copies of what was learnt, and praise a network for its memory. Copies
are seen on thumbnails of 16x16 pixels, without brightness and contrast. Tracks show as clusters within a class: where
their mean silhouette (Rousseeuw, 1987) is high, as no set of unrelated images here has it, each cluster is a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.content_order import Digests
from databases.datasets.task import Images, Labels, resize_images

MOST_LOOKED_AT = 50_000  # images; of more, exact copies alone are found, in bounded memory
THUMBNAIL = 16  # pixels
CLOSE = 0.1  # distance of unit thumbnails below which two are copies ...
CLOSE_SHARE = 0.2  # ... if it is also less than this part of the usual distance
LEAST_SHARE = 0.01  # of images that are near copies: fewer may be chance, and move nothing
LEAST_SILHOUETTE = 0.19  # mean over classes; of 23 sets without tracks the highest has 0.175
CLASSES_LOOKED_AT, IMAGES_LOOKED_AT = 12, 200
LEAST_OWN = 0.05  # silhouette of an image that belongs to its cluster; others are by themselves
LARGEST_CLUSTER = 0.4  # of a class: with a larger one the rest are odd images, not tracks
MOST_IN_A_CLUSTERING = 2_000  # images; larger classes are clustered in runs of their order
CLUSTER_SHARES = (0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65)  # clusters for one image
DIRECTIONS, NEIGHBOURS = 16, 5  # among which near copies are searched; how many of each image are taken
SAMPLED = 2_000  # images that tell the main directions

Floats: TypeAlias = npt.NDArray[np.float32]
Groups: TypeAlias = npt.NDArray[np.int64]  # (n,), equal for images that belong together


@dataclass(frozen=True)
class Copies:
    """Pairs of images that show the same.

    Attributes:
        pairs: (m, 2) positions, the smaller first.
        exact: (m,) whether the two are equal in every pixel.
    """

    pairs: npt.NDArray[np.int64]
    exact: npt.NDArray[np.bool_]


def thumbnails(images: Images) -> Floats:
    """Images (n, h, w, c) as unit vectors (n, d) without brightness and contrast; even ones are all 0."""
    small = resize_images(images, THUMBNAIL) if images.shape[1] > THUMBNAIL else images
    rows = small.reshape(len(small), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 1)
    return unit


def find_copies(digests: Digests, units: Floats | None) -> Copies:
    """Pairs of copies among images with these digests and `thumbnails`; without thumbnails exact ones alone."""
    once, same = np.unique(digests, axis=0, return_index=True, return_inverse=True)[1:]
    earlier = once[same.ravel()]
    copied = np.flatnonzero(earlier != np.arange(len(digests)))
    pairs = dict.fromkeys(zip(earlier[copied].tolist(), copied.tolist(), strict=True), True)
    once = np.sort(once)
    if units is not None and len(once := once[units[once].any(axis=1)]) > 1:
        seen = units[once]
        for a, b in _close_pairs(seen, min(CLOSE, CLOSE_SHARE * _usual_distance(seen))):
            pairs.setdefault((int(once[a]), int(once[b])), False)
    ordered = sorted(pairs)
    return Copies(
        np.array(ordered, dtype=np.int64).reshape(-1, 2), np.array([pairs[pair] for pair in ordered], dtype=np.bool_)
    )


def find_groups(units: Floats | None, labels: Labels, copies: Copies, among: npt.NDArray[np.intp]) -> Groups | None:
    """What belongs together of the images at the positions ``among``; each other is by itself. None where nothing does.

    Near copies count where there are more than a few; copies of most of a class are no group, as nothing tells its
    images apart.

    Args:
        units: (n, d) from `thumbnails`; None: copies alone are grouped.
        labels: (n,) class numbers.
        copies: from `find_copies`.
        among: (m,) positions.
    """
    place = np.full(len(labels), -1, dtype=np.int64)
    place[among] = np.arange(len(among))
    inside = (place[copies.pairs] >= 0).all(axis=1)
    found = _grouped(
        None if units is None else units[among],
        labels[among],
        Copies(place[copies.pairs[inside]], copies.exact[inside]),
    )
    groups = len(among) + np.arange(len(labels))
    groups[among] = found
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return numbers.astype(np.int64) if (sizes > 1).any() else None


def _grouped(units: Floats | None, labels: Labels, copies: Copies) -> Groups:
    """The group of each image, numbered from 0 to below n."""
    count = len(labels)
    share = len(np.unique(copies.pairs)) / max(1, count)
    pairs = copies.pairs if share >= LEAST_SHARE else copies.pairs[copies.exact]
    groups = _connected(count, pairs)
    if units is not None and _mean_silhouette(units, labels) > LEAST_SILHOUETTE:
        groups = _joined(groups, _clusters(units, labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        sizes = np.bincount(groups[members])
        if 2 * sizes.max() > len(members) > 1:
            undone = members[groups[members] == sizes.argmax()]
            groups[undone] = count + undone
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _usual_distance(units: Floats) -> float:
    """The median distance of pairs of images, from a few."""
    few = units[:: max(1, len(units) // 300)]
    return float(np.median(np.sqrt(np.maximum(2 - 2 * few @ few.T, 0))))


def _close_pairs(units: Floats, most: float) -> Iterator[tuple[int, int]]:
    """Pairs of unit vectors closer than ``most``: of each its few nearest."""
    from scipy.spatial import KDTree

    # Distances along the main directions are never more than the whole ones, and quickly searched.
    few = units[:: max(1, len(units) // SAMPLED)]
    directions = np.linalg.eigh(few.T @ few)[1][:, -DIRECTIONS:]
    short = (units @ directions).astype(np.float64)
    near = KDTree(short).query(short, k=NEIGHBOURS + 1, distance_upper_bound=most)[1]
    for column in near.T[1:]:
        left = np.flatnonzero(column < len(units))
        right = column[left]
        close = np.linalg.norm(units[left] - units[right], axis=1) < most
        for a, b in zip(left[close].tolist(), right[close].tolist(), strict=True):
            yield min(a, b), max(a, b)


def _mean_silhouette(units: Floats, labels: Labels) -> float:
    """How clearly images cluster within their classes: the best mean silhouette of a class, over some classes."""
    found = []
    for label in np.unique(labels)[:CLASSES_LOOKED_AT]:
        members = np.flatnonzero(labels == label)[:IMAGES_LOOKED_AT]
        if len(members) >= 8:
            found.append(_best_clusters(units[members])[0])
    return float(np.mean(found)) if found else 0.0


def _clusters(units: Floats, labels: Labels) -> Groups:
    """Clusters within each class, numbered over all."""
    groups, following = np.arange(len(labels)), len(labels)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        runs: Sequence[npt.NDArray[np.intp]] = np.array_split(members, -(-len(members) // MOST_IN_A_CLUSTERING))
        for run in runs:
            if len(run) >= 8:
                found = _best_clusters(units[run])[1]
                groups[run] = following + found
                following += int(found.max()) + 1
    return groups


def _best_clusters(units: Floats) -> tuple[float, npt.NDArray[np.int64]]:
    """The mean silhouette and the clusters (n,) of the average linkage cut where that is highest."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distances = np.sqrt(np.maximum(2 - 2 * (units @ units.T), 0)).astype(np.float64)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), "average")
    best, clusters = -1.0, np.arange(len(units), dtype=np.int64)
    for count in sorted({max(2, round(share * len(units))) for share in CLUSTER_SHARES}):
        tried = fcluster(tree, count, "maxclust").astype(np.int64) - 1
        scores = _silhouettes(distances, tried)
        score = float(scores.mean())
        if score > best and np.bincount(tried).max() <= LARGEST_CLUSTER * len(units):
            best, clusters = score, np.where(scores > LEAST_OWN, tried, len(units) + np.arange(len(units)))
    return best, np.unique(clusters, return_inverse=True)[1].astype(np.int64)


def _silhouettes(distances: npt.NDArray[np.float64], clusters: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The silhouettes (n,) of clusters (n,) by distances (n, n); an image alone has 0."""
    rows, sizes = np.arange(len(clusters)), np.bincount(clusters)
    if len(sizes) < 2:
        return np.zeros(len(clusters))
    sums = distances @ np.eye(len(sizes))[clusters]
    own = sums[rows, clusters] / np.maximum(sizes[clusters] - 1, 1)
    means = sums / sizes
    means[rows, clusters] = np.inf
    other = means.min(axis=1)
    score = (other - own) / np.maximum(np.maximum(own, other), 1e-9)
    return np.where(sizes[clusters] > 1, score, 0.0)


def _connected(count: int, pairs: npt.NDArray[np.int64]) -> Groups:
    """Numbers of the sets that pairs connect, (count,)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    found: Groups = connected_components(links, directed=False)[1].astype(np.int64)
    return found


def _joined(one: Groups, other: Groups) -> Groups:
    """The finest groups in which both groupings keep together what they hold together."""
    count = len(one)
    firsts = [np.unique(groups, return_index=True, return_inverse=True)[1:] for groups in (one, other)]
    pairs = np.concatenate([np.stack([index[inverse], np.arange(count)], axis=1) for index, inverse in firsts])
    return _connected(count, pairs)
