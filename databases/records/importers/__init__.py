"""Published benchmarks and users' own -> tasks and records of a store; importing again adds nothing."""

from __future__ import annotations

from pathlib import Path

from databases.errors import UserError
from databases.records.importers.nasbench201 import import_nasbench201_file
from databases.records.importers.own_table import import_table
from databases.records.importers.tables import import_metad2a, import_nasbench201_csv, read_zero_cost
from databases.records.store import Store

__all__ = [
    "import_metad2a",
    "import_nasbench201",
    "import_nasbench201_csv",
    "import_nasbench201_file",
    "import_table",
    "read_zero_cost",
]

_TORCH_STARTS = (b"PK", b"\x80")  # a zip archive or a pickle: how torch.save's files begin


def import_nasbench201(store: Store, path: str | Path) -> int:
    """Add NAS-Bench-201, from its official ``.pth`` file or the compact ``.csv``/``.csv.gz`` table.

    Which of the two it is, the first bytes of the file tell. Returns how many records were new; raises
    UserError when the file cannot be read or is neither.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(2)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give NAS-Bench-201-v1_1-096897.pth or accuracy.csv.gz"
        ) from error
    read = import_nasbench201_file if start.startswith(_TORCH_STARTS) else import_nasbench201_csv
    return read(store, path)
