"""Loading: a folder, a zip, an .npz file, two arrays or a well-known small set, as a Task.

| given | is |
|---|---|
| a folder of class folders | whatever Pillow opens, any size; train, val and test folders above if you like |
| a folder with a labels.csv | pictures anywhere in it; columns file, class, if you like part and group; or several |
| a zip of such a folder | read in memory, never unpacked to disk; with or without a wrapping folder |
| an .npz file | x, y or x_train, y_train; if you like x_val, y_val, x_test, y_test, groups, class_names |
| (x, y) | images (n, h, w), (n, h, w, c) or (n, c, h, w), 0..1 or 0..255; labels (n,), numbers or names |
| sklearn:digits | 1,797 handwritten digits of 8x8 pixels |

Classes are sorted by name, 2 before 10. All grey gives one channel, else three. A validation or a test part that data
do not bring is drawn from their training images. Images are put into an order of their content, class by class, so that
a folder and an array of the same pixels are the same task, however its classes are numbered.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias
from zipfile import is_zipfile

import numpy as np
import numpy.typing as npt

from databases.datasets.archives import MAX_BYTES, MAX_FILES, Folder, Zip
from databases.datasets.arrays import from_arrays, from_npz
from databases.datasets.cautions import Caution, cautions
from databases.datasets.content_order import content_order, image_digests
from databases.datasets.conversion import plain_array
from databases.datasets.draft import Progress
from databases.datasets.file_kinds import instead_of
from databases.datasets.group_split import completed, groups_note, training_images
from databases.datasets.groups import NONE, WAYS, check_way, group_numbers
from databases.datasets.labels import by_name
from databases.datasets.mapped import Mapped
from databases.datasets.names import shown
from databases.datasets.near_copies import MOST_LOOKED_AT, find_copies, find_groups, thumbnails
from databases.datasets.npz import read_npz
from databases.datasets.pictures import Labelled, read_pictures
from databases.datasets.room import MOST_WANTED, Room
from databases.datasets.sides import array_side, kept_side, picture_side
from databases.datasets.task import TEST, TRAIN, USES, VALIDATION, Task, check_classes, check_resolution
from databases.datasets.wide import wide_told
from databases.errors import UserError
from databases.hosting import importing
from databases.paths import user_path
from databases.usual import AUTOMATIC

MAX_IMAGES, MAX_LOOKED_AT = 100_000, 2**30  # images, and bytes of pictures, that are looked at
ENOUGH = 5_000  # pictures that tell what fits
MOST_MOVED = 512 * 2**20  # bytes of images that are brought into order: more would take as much memory again
DIGITS = "sklearn:digits"
ALLOWED = f"allowed are a folder of class folders, a zip of one, an .npz file, (x, y) arrays and '{DIGITS}'"

Data: TypeAlias = str | Path | tuple[npt.ArrayLike, npt.ArrayLike]


# long, since what can be asked of a reader is a line each: here and where it is handed on
def load_task(
    data: Data,
    *,
    resolution: int | None = None,
    up_to: int | None = None,
    seed: int = 0,
    max_images: int | None = None,
    looking: bool = False,
    max_files: int = MAX_FILES,
    max_bytes: int = MAX_BYTES,
    groups: str | Path | npt.ArrayLike = AUTOMATIC,
    deadline: float = math.inf,
    as_stored: bool = False,
    wanted: Collection[int] = tuple(USES),
    class_names: Sequence[str] = (),
    room: Room | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Task:
    """Turn one's own labelled images into a Task; what was changed or left out stands in its notes.

    Args:
        data: a folder, zip or .npz file, (x, y) arrays or 'sklearn:digits'; see the head of this module.
        resolution: height and width in pixels. By default images that are square and of one size from 8 to 64
            pixels (of pictures in files some are looked at) keep it, and others become 32x32.
        up_to: where no resolution is given: keep as many pixels as there are, up to this side.
        seed: draws the parts that the data do not bring, and the images when there are too many.
        max_images: use a stratified part of larger data (still two images of each class and part at least). By
            default all are used with a ``room``, which is for training; else 100,000, or 1 GiB of pictures.
        looking: nothing is trained on what is read, so that of pictures in files `ENOUGH` are decoded.
        max_files: refuse folders and archives with more files.
        max_bytes: refuse archives that unpack to more bytes.
        groups: what belongs together, so that no part is drawn across it: 'auto' (near copies and tracks by their
            look, or what the data tell), 'none', of pictures 'folder', 'prefix' or the path of a CSV file (columns
            file and group), of arrays one number or text an image.
        deadline: monotonic second at which the pictures of files must be read; refused as soon as that cannot be.
        as_stored: leave the images and classes in the order given, by which parts are then drawn: for published
            sets whose recorded figures were measured so.
        wanted: parts that are drawn where the data do not bring them.
        class_names: what classes that the data number are called, in that order.
        room: where decoded pictures go that are too many for memory.
        on_progress: is told how many pictures are read, of how many.

    Raises:
        UserError: when the data cannot be used; one line with what was given, what is allowed and what to do.
    """
    if resolution is not None:
        check_resolution(resolution)
    if max_images is not None and max_images < 1:
        raise UserError(f"given max_images={max_images}; allowed are whole numbers from 1; leave it out")
    name = name_of(data)
    if isinstance(data, str | Path) and not str(data).startswith("sklearn:"):
        path = existing(str(data))
        with closing(open_files(path, max_files=max_files, max_bytes=max_bytes, deadline=deadline)) as files:
            loaded = _read(
                files,
                path,
                resolution=resolution,
                up_to=up_to,
                most=max_images,
                looking=looking,
                seed=seed,
                groups=groups,
                deadline=deadline,
                room=room,
                on_progress=on_progress,
            )
    else:
        given_images, labels = _digits(data) if isinstance(data, str) else _pair(data)
        wide = wide_told(given_images, given=name)
        arrays = plain_array(given_images), labels
        resolution = resolution or array_side(arrays[0], up_to)
        together = None if _is_way(groups) else groups
        most = _most_arrays(max_images, room)
        loaded = from_arrays({TRAIN: arrays}, given=name, resolution=resolution, most=most, seed=seed, groups=together)
        loaded = replace(loaded, notes=(*loaded.notes, *wide))
    check_classes(loaded.labels, loaded.parts, loaded.class_names, least=2)
    labels, names = loaded.labels, loaded.class_names
    if not as_stored:  # the same, whoever numbered the classes
        labels, names = by_name(labels, names)
    loaded = replace(loaded, labels=labels, class_names=tuple(class_names) or names)
    return _divided(loaded, name, seed=seed, look=str(groups) == AUTOMATIC, as_stored=as_stored, wanted=wanted)


def name_of(data: Data) -> str:
    """What a task of these data is called; raises UserError where they are not there."""
    if not isinstance(data, str | Path):
        return "arrays"
    if str(data).startswith("sklearn:"):
        return str(data)
    path = existing(str(data))
    return shown(path.name if path.is_dir() else path.stem)


def _divided(loaded: Labelled, name: str, *, seed: int, look: bool, as_stored: bool, wanted: Collection[int]) -> Task:
    """The task, with the parts that the data do not bring drawn by groups; those are looked for where not told."""
    labels, names, notes = loaded.labels, loaded.class_names, [*loaded.notes]
    units = thumbnails(loaded.images) if len(labels) <= MOST_LOOKED_AT else None
    digests = image_digests(loaded.images)
    copies = find_copies(digests, units)
    groups = None
    if loaded.groups is not None:
        groups = group_numbers(loaded.groups, len(labels), given=name)
    elif look and not all((loaded.parts == part).any() for part in (VALIDATION, TEST)):
        groups = find_groups(units, labels, copies, np.flatnonzero(loaded.parts == TRAIN))
        if units is None:
            notes.append(
                "so many images are searched for exact copies only: name what belongs together, if anything does"
            )
    order = np.arange(len(labels)) if as_stored else content_order(digests, labels)
    parts = completed(labels, loaded.parts, groups, order, seed=seed, wanted=wanted)
    in_all = None if loaded.in_all is None else training_images(loaded.in_all)
    if groups is not None:
        notes.append(groups_note(groups, loaded.parts, told=loaded.groups is not None))
    if all((image == loaded.images[0]).all() for image in loaded.images):
        notes.append(Caution("all images are the same: nothing tells the classes apart"))
    else:
        notes += cautions(labels, parts, names, copies, loaded.files, groups, wanted)
    if loaded.images.nbytes <= MOST_MOVED and not isinstance(loaded.images, Mapped):
        images, labels, parts = loaded.images[order], labels[order], parts[order]
        groups = None if groups is None else groups[order]
    else:
        images = loaded.images
    return Task(name, images, labels, parts, names, name, tuple(notes), loaded.white, groups, in_all)


def _is_way(groups: object) -> bool:
    """Whether groups are told by a word; raises UserError where that needs pictures in files."""
    if not isinstance(groups, str | Path):
        return False
    if str(groups) not in (AUTOMATIC, NONE):
        raise UserError(
            f"given the groups {str(groups)!r} for arrays; allowed are auto, none, an array groups (n,) in the .npz, "
            "or one number or text an image in Python; choose one"
        )
    return True


def _pair(data: object) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    """Images and labels given as they are."""
    if not isinstance(data, tuple) or len(data) != 2:
        raise UserError(f"given a {type(data).__name__}; {ALLOWED}; give one of them")
    return data


def existing(text: str) -> Path:
    """The path of a file or folder; raises UserError where there is none."""
    written = user_path(text)
    try:
        path = written.resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        remedy = "download it and name what you have" if "://" in text else "check the path"
        raise UserError(f"given {text!r}, which cannot be found ({reason}); {ALLOWED}; {remedy}") from problem
    if not text.strip():
        raise UserError(f"given an empty path; {ALLOWED}; name one")
    return path


def open_files(path: Path, *, max_files: int, max_bytes: int, deadline: float = math.inf) -> Folder | Zip:
    """A folder, or the zip that a zip or .npz file is; raises UserError where it is neither, or beyond the limits."""
    if path.is_dir():
        return Folder(path, max_files=max_files, deadline=deadline)
    if not path.is_file():  # of which reading may never end
        raise UserError(f"given {str(path)!r}, a socket, pipe or device; {ALLOWED}; write a file and name that")
    if path.suffix.lower() in (".zip", ".npz") or is_zipfile(path):
        return Zip(path, max_files=max_files, max_bytes=max_bytes, deadline=deadline)
    raise UserError(f"given the file {str(path)!r}; {ALLOWED}; {instead_of(path.name)}")


# long, since what can be asked of a reader is a line each: here and where it is handed on
def _read(
    files: Folder | Zip,
    path: Path,
    *,
    resolution: int | None,
    up_to: int | None,
    most: int | None,
    looking: bool,
    seed: int,
    groups: object,
    deadline: float,
    room: Room | None,
    on_progress: Progress,
) -> Labelled:
    """Everything in a folder, zip or .npz file."""
    given = repr(str(path))
    if not isinstance(groups, str | Path):
        raise UserError(f"given {given} with groups as an array; allowed are {', '.join(WAYS)} or a CSV file; name one")
    if isinstance(files, Zip) and path.suffix.lower() == ".npz":
        _is_way(groups)
        arrays = read_npz(files, given=given)
        arrays = arrays if groups == AUTOMATIC else replace(arrays, groups=None)
        resolution = resolution or array_side(arrays.images[0], up_to)
        return from_npz(arrays, given=given, resolution=resolution, most=_most_arrays(most, room), seed=seed)
    check_way(groups)
    px, notes = resolution or 0, list[str]()
    if resolution is None and up_to is not None:
        px, notes = picture_side(files, up_to=up_to, most_bytes=None if room is None or most else MOST_WANTED)
    px = px or kept_side(files)
    if most is None:
        usual = ENOUGH if looking else MAX_IMAGES
        most = sys.maxsize if room is not None else min(usual, MAX_LOOKED_AT // (3 * px * px))
    found = read_pictures(
        files,
        given=given,
        px=px,
        most=most,
        seed=seed,
        groups=groups,
        deadline=deadline,
        room=room,
        on_progress=on_progress,
    )
    return replace(found, notes=(*found.notes, *notes))


def _most_arrays(most: int | None, room: Room | None) -> int:
    """How many images of arrays, which are in memory already, are used."""
    return most or (MAX_IMAGES if room is None else sys.maxsize)


def _digits(text: str) -> tuple[npt.ArrayLike, npt.ArrayLike]:
    """The handwritten digits that come with scikit-learn, their values 0..16 spread over 0..255."""
    if text != DIGITS:
        raise UserError(f"given {text!r}; {ALLOWED}; other sets of scikit-learn hold no small images")
    with importing():
        from sklearn.datasets import load_digits

    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target
