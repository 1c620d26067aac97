"""What the library changes of the process that it runs in is given back: threads, random numbers, warning filters.

And what the host has set of torch for its own networks is not taken for ours: `own_ways`.
"""

from __future__ import annotations

import atexit
import gc
import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from torch import Tensor, dtype

_lock = threading.Lock()
_hosts: list[_State] = []  # one for each thread that is inside; all hold what the first of them met
_types: list[dtype] = []  # the default type of the host's numbers, likewise
_inside = threading.local()


def own_process() -> None:
    """This process is a program of ours, nobody's guest: garbage is looked for less often, and not at its end.

    What the libraries make lasts. To look through it again and again took a third of the start of a command, and half a
    second of its end. Pillow's warning of large pictures goes unsaid: those beyond our own limit are refused.
    """
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    gc.set_threshold(10_000, 20, 20)
    atexit.register(gc.freeze)


@contextmanager
def lent(*, seed: int | None = None, threads: int | None = None, on: str = "cpu") -> Iterator[None]:
    """Torch's threads and generators, given back at the end as they were, also after errors and between threads.

    Args:
        seed: of torch's generator of the CPU, and of the one of ``on``, inside the block.
        threads: of torch inside the block.
        on: torch's name of what else the block draws random numbers on.
    """
    import torch

    kind = torch.device(on).type
    if kind == "cuda":
        torch.cuda.init()
    nested = getattr(_inside, "depth", 0) > 0
    with _lock:
        before = _hosts[0] if _hosts and not nested else _State.now()
        if not nested:
            _hosts.append(before)
    _inside.depth = getattr(_inside, "depth", 0) + 1
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would touch every device
            if kind in ("cuda", "mps"):
                torch.get_device_module(kind).manual_seed(seed)
        with own_ways(), warnings.catch_warnings():  # torch imports parts of itself when they are first used
            yield
    finally:
        _inside.depth -= 1
        with _lock:
            before.restore()
            if not nested:
                _hosts.pop()


@contextmanager
def own_ways() -> Iterator[None]:
    """Inside the block torch makes and trains networks as it does unless told otherwise; afterwards as the host does.

    A host may compute without gradients, in another precision, or make its tensors on another device. The precision is
    of all threads: while one of them is inside, the others have ours.
    """
    import torch

    if getattr(_inside, "ours", False):
        yield
        return
    _inside.ours = True
    with _lock:
        _types.append(_types[0] if _types else torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            for kind in ("cpu", "cuda"):
                if torch.is_autocast_enabled(kind):
                    stack.enter_context(torch.autocast(kind, enabled=False))
            if torch.get_default_device().type != "cpu":  # it would cost each call of torch a little
                stack.enter_context(torch.device("cpu"))
            yield
    finally:
        _inside.ours = False
        with _lock:
            before = _types.pop()
            if not _types:
                torch.set_default_dtype(before)


@contextmanager
def importing() -> Iterator[None]:
    """First imports of other packages, which add warning filters and draw random numbers of Python's."""
    state = random.getstate()
    try:
        with warnings.catch_warnings():
            yield
    finally:
        random.setstate(state)


@dataclass(frozen=True, eq=False)
class _State:
    """Torch's threads, and the states of its generators that exist."""

    threads: int
    cpu: Tensor
    cuda: tuple[Tensor, ...]
    mps: Tensor | None

    @classmethod
    def now(cls) -> Self:
        """As it is."""
        import torch

        cuda = tuple(torch.cuda.get_rng_state_all()) if torch.cuda.is_initialized() else ()
        mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
        return cls(torch.get_num_threads(), torch.get_rng_state(), cuda, mps)

    def restore(self) -> None:
        """As it was."""
        import torch

        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(list(self.cuda))
        if self.mps is not None:
            torch.mps.set_rng_state(self.mps)
