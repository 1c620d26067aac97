"""The command line: ``metad2a``, a thin skin over the library."""

from __future__ import annotations

import io
import os
import sys
import time

from databases.hosting import own_process
from metad2a.cli import process


def main() -> None:
    """The program ``metad2a``: exit status 0, 2 for what the user can mend, 130 when interrupted."""
    process.started = time.monotonic()
    own_process()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=process.ESCAPED)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # networks this small gain nothing by two, and lose on a busy machine
    from metad2a.cli.app import app

    app(prog_name="metad2a")
