"""An order of images that depends on what they show, not on the folder, zip or array that they came in.

Parts are drawn and networks trained in this order, so that the same images give the same result however they are kept;
of more images than `loading` brings into order, only the parts follow it.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from databases.datasets.task import Images, Labels

Digests: TypeAlias = npt.NDArray[np.uint64]  # (n, 2), equal for images that are equal in every pixel


def image_digests(images: Images) -> Digests:
    """What images (n, h, w, c) show, in 16 bytes each: (n, 2)."""
    found = (hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images)
    return np.frombuffer(b"".join(found), dtype="<u8").reshape(-1, 2).astype(np.uint64)


def content_order(digests: Digests, labels: Labels) -> npt.NDArray[np.intp]:
    """Positions (n,) class by class, within a class by content; equal images of a class may change places."""
    return np.lexsort((digests[:, 1], digests[:, 0], labels))
