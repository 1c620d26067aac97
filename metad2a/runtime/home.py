"""Where metad2a keeps its files, and where the development data are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from databases.errors import UserError
from databases.paths import user_path

if TYPE_CHECKING:
    from databases.datasets.room import Room

DATABASE = "database.db"  # in the home folder


def home_path() -> Path:
    """Where that folder is or will be, whatever is there; raises UserError where it begins with the ~ of no user."""
    return user_path(os.environ.get("METAD2A_HOME") or "~/.metad2a", called="METAD2A_HOME")


def home_to_read() -> Path:
    """The same for whoever only reads; nothing is made.

    Raises:
        UserError: something else than a folder is there.
    """
    folder = home_path()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"The home folder {folder} is no folder: set METAD2A_HOME to one.")
    return folder


def home() -> Path:
    """Folder of database, caches, runs and tracking: ``METAD2A_HOME``, else ``~/.metad2a``; made on demand.

    Raises:
        UserError: it cannot be made or written.
    """
    folder = home_path()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
        reason = "no permission to write"
    except OSError as error:
        writable, reason = False, error.strerror or str(error)
    if not writable:
        raise UserError(f"Cannot write to the home folder {folder} ({reason}): set METAD2A_HOME to another folder.")
    return folder


def database_path() -> Path:
    """The database that is used where none is named; raises UserError as `home` where it has yet to be made."""
    there = home_to_read() / DATABASE
    return there if there.is_file() else home() / DATABASE


def features_folder() -> Path:
    """Where features of images are kept; raises UserError as `home`."""
    return home() / "features"


def features_to_read() -> Path:
    """The same for whoever answers without them too, and may have no permission to write."""
    return home_to_read() / "features"


def picture_room() -> Room:
    """Where the home folder keeps decoded pictures that are too many for memory."""
    from databases.datasets.room import Room

    return Room(home() / "pictures")


def shared_data() -> Path:
    """The folder of development data: ``METAD2A_SHARED``, else ``../shared/data`` beside the repository.

    Raises:
        UserError: it is not there.
    """
    beside_repository = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = user_path(os.environ.get("METAD2A_SHARED") or beside_repository, called="METAD2A_SHARED")
    if not folder.is_dir():
        raise UserError(
            f"No development data at {folder}: set METAD2A_SHARED to the folder that holds 'images' and 'nasbench201'."
        )
    return folder


def shared_folder() -> Path | None:
    """The folder of development data, None where there is none."""
    try:
        return shared_data()
    except UserError:
        return None


def images_folder() -> Path:
    """The folder of image sources among the development data; raises UserError as `shared_data`."""
    return shared_data() / "images"


def shared_images() -> Path | None:
    """The same, None where there is none."""
    folder = shared_folder()
    return folder / "images" if folder is not None and (folder / "images").is_dir() else None
