"""The process that opens strangers' pictures and asks found networks: ``python -m metad2a.service.predicting``.

Decoders meet bytes from anywhere here, so the process has a limit of memory, reads a short list of formats, and is
killed when it takes too long.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

from databases.errors import UserError
from databases.hosting import own_process
from metad2a.export.program import load_program
from metad2a.service.children import limit_memory
from metad2a.service.helper import serve

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 50_000_000
_MOST_NETWORKS = 4
_MEMORY = 6 * 2**30


class FoundNetwork:
    """A found network, run by the very `model.py` that users download."""

    def __init__(self, folder: Path) -> None:
        self._program = load_program(folder)
        self._network = self._program.load(folder)

    def open(self, path: str) -> Any:
        """A picture as this network wants it."""
        return self._program.open_picture(path)

    def probabilities(self, pictures: list[Any]) -> list[list[float]]:
        """One list a picture, one share a class."""
        return [self._network.probabilities(each)[0].tolist() for each in pictures]


_networks: OrderedDict[tuple[str, int], FoundNetwork] = OrderedDict()


def predict(folder: str, pictures: list[list[str]]) -> list[list[float]]:
    """Class probabilities of pictures ([path, name for people]) by the network exported into a folder."""
    network = _network(Path(folder))
    opened = []
    for path, name in pictures:
        check_picture(path, name)
        try:
            opened.append(network.open(path))
        except Exception as problem:  # a decoder raises whatever broken bytes make it raise
            raise UserError(
                f"the picture {name!r} cannot be read ({_line(problem, path)}): send another one"
            ) from problem
    return network.probabilities(opened)


def check_picture(path: str, name: str) -> None:
    """Refuses what is no picture of the listed formats, and what would grow too large, before it is decoded."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as picture:
            pixels = picture.width * picture.height
    except Exception as problem:
        raise UserError(f"the file {name!r} is no picture: send {', '.join(FORMATS)}") from problem
    if pixels > MAX_PIXELS:
        raise UserError(f"the picture {name!r} has {pixels:,} pixels, allowed are {MAX_PIXELS:,}: make it smaller")


def _network(folder: Path) -> FoundNetwork:
    key = (str(folder), (folder / "model.safetensors").stat().st_mtime_ns)
    if key not in _networks:
        _networks[key] = FoundNetwork(folder)
    _networks.move_to_end(key)
    while len(_networks) > _MOST_NETWORKS:
        _networks.popitem(last=False)
    return _networks[key]


def warm() -> bool:
    """Nothing is loaded before somebody asks."""
    return True


def _line(problem: Exception, path: str) -> str:
    """What a decoder says; where the picture lies is nobody's business."""
    return " ".join(str(problem).replace(path, "it").split())[:200] or type(problem).__name__


if __name__ == "__main__":
    own_process()
    limit_memory(_MEMORY)
    questions: dict[str, Any] = {"predict": predict, "warm": warm}
    serve(questions)
