"""Pretrained networks of the package timm as weights to begin with (extra ``timm``)."""

from __future__ import annotations

import difflib
import hashlib
import socket
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor, nn

from databases.architectures.networks.foreign import TimmNetwork, timm_package
from databases.architectures.skeleton import Blueprint
from databases.errors import UserError
from metad2a.train.bases import OTHER, Base
from metad2a.train.memory import was_short

LEAST = 64  # pixels a side that a network must take; else it sees images enlarged to the size it was trained at
NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")  # where training programs put the tensors of a file


def open_timm(name: str, file: Path | None, *, channels: int) -> Base:
    """The pretrained network of that name for images of 1 or 3 channels, weights from a file or timm's own download.

    Raises:
        UserError: timm is not installed or knows no such network, there are no weights, or they are another network's.
    """
    network = _network(name, channels)
    body = network.body
    weights = _downloaded(name) if file is None else _read(file)
    _fill(body, weights, name, "what timm downloaded" if file is None else str(file))
    told: Mapping[str, Any] = body.pretrained_cfg  # type: ignore[assignment]
    side, width = _shape(body, int(told["input_size"][-1]))
    network.side, network.classifier = side, nn.Linear(width, 2, device="meta")
    mean, scale = (tuple(255 * float(each) for each in told[key]) for key in ("mean", "std"))
    return Base(
        name=f"timm:{name}",
        digest=f"{OTHER}-{_digest(name, body)}",
        network=network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        blueprint=lambda classes: Blueprint("foreign:TimmNetwork", (name, channels, classes, width, side)),
        mean=mean if channels == 3 else (sum(mean) / 3,),
        scale=scale if channels == 3 else (sum(scale) / 3,),
        side=side or None,
    )


def _network(name: str, channels: int) -> TimmNetwork:
    """The network with fresh weights; refuses a name that timm does not know, and a network that takes no colours."""
    if find_spec("timm") is None:
        raise UserError(
            f"given timm:{name}, and timm is not installed: it brings a thousand pretrained networks to begin with; "
            "pip install 'metad2a[timm]'"
        )
    try:
        with torch.device("meta"):
            network = TimmNetwork(name, channels, 2, 1, 0).eval()
    except (RuntimeError, ValueError):  # timm's, and ours
        raise _unknown(name) from None
    colours = network.body.pretrained_cfg["input_size"][0]  # type: ignore[index]
    if colours != 3:
        raise UserError(f"given timm:{name}, which takes {colours} channels; allowed are networks of three colours")
    return network


def _unknown(name: str) -> UserError:
    timm = timm_package()
    near = difflib.get_close_matches(name, [*timm.list_models(), *timm.list_pretrained()], n=3)
    meant = f"did you mean {', '.join(near)}" if near else "give one of timm.list_models()"
    return UserError(f"given timm:{name}; timm {timm.__version__} knows no such network; {meant}")


def _downloaded(name: str) -> dict[str, Tensor]:
    """The tensors of timm's own download."""
    timm = timm_package()
    advice = f"give a file that you have: timm:{name}@FILE"
    told = timm.get_pretrained_cfg(name)
    if told is None or not timm.is_model_pretrained(name):
        raise UserError(f"timm has no weights of {name}: {advice}")
    if not _reachable(told.hf_hub_id):
        raise UserError(f"the weights of {name} cannot be downloaded here (no network): {advice}")
    try:
        whole = timm.create_model(name, pretrained=True)
    except Exception as problem:  # whatever the client of the server raises
        reason = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise UserError(f"the weights of {name} cannot be downloaded ({reason}): {advice}") from problem
    found: dict[str, Tensor] = whole.state_dict()
    return found


def _reachable(repository: str | None) -> bool:
    """Whether the server has an address here, or the file lies on this machine: the client would try for a minute."""
    from huggingface_hub import constants, try_to_load_from_cache

    if getproxies() or (repository and isinstance(try_to_load_from_cache(repository, "model.safetensors"), str)):
        return True
    try:
        return bool(socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443))
    except OSError:
        return False


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors of a file: safetensors, or torch's, of which nothing but weights is read."""
    from safetensors.torch import load as tensors_of

    try:
        if file.suffix == ".safetensors":
            return tensors_of(file.read_bytes())
        with warnings.catch_warnings(action="ignore"):  # what torch thinks of a file's make is no news to our user
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as problem:
        raise UserError(f"cannot read {str(file)!r} ({problem.strerror}): name a file of weights") from problem
    except Exception as problem:  # what is no such file can fail in every way there is
        if was_short(problem):
            raise
        raise UserError(
            f"{str(file)!r} holds no weights: give a .safetensors file, or a state_dict of torch"
        ) from problem
    for key in NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    tensors = content if isinstance(content, dict) else {}
    if not tensors or not all(isinstance(each, Tensor) for each in tensors.values()):
        raise UserError(f"{str(file)!r} holds no weights: give a .safetensors file, or a state_dict of torch")
    return {str(key).removeprefix("module."): value for key, value in tensors.items()}


def _fill(body: nn.Module, weights: Mapping[str, Tensor], name: str, origin: str) -> None:
    """Puts the weights into the network; those of its classifier are left out, and no other."""
    heads = body.pretrained_cfg.get("classifier") or ()  # type: ignore[union-attr, operator]
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    kept = {key: value for key, value in weights.items() if not key.startswith(tuple(f"{head}." for head in heads))}
    wanted = body.state_dict()
    for key in {**wanted, **kept}:
        if key.endswith("num_batches_tracked"):
            continue
        if key not in kept or key not in wanted:
            problem = f"{key!r} is {'missing' if key in wanted else 'too many'}"
        elif kept[key].shape != wanted[key].shape:
            problem = f"{key!r} is {tuple(kept[key].shape)}, not {tuple(wanted[key].shape)}"
        else:
            continue
        raise UserError(f"{origin} holds weights of another network than timm's {name} ({problem}): give its own")
    refuse_not_finite(kept, origin)
    body.load_state_dict({key: value.float() for key, value in kept.items() if key in wanted}, strict=False)


def refuse_not_finite(weights: Mapping[str, Tensor], origin: str) -> None:
    """Raises UserError for weights that are infinite or no numbers, by which every answer would be chance."""
    for key, value in weights.items():
        bad = int((~torch.isfinite(value)).sum()) if value.is_floating_point() else 0
        if bad:
            raise UserError(f"{origin} holds {bad:,} values of {key!r} that are no finite numbers: give a sound file")


def _shape(body: nn.Module, native: int) -> tuple[int, int]:
    """The one side in pixels that the network takes, 0 for any from `LEAST`, and the width of its features."""
    for side in (LEAST, native):
        try:
            with torch.inference_mode():
                found = body(torch.zeros(2, 3, side, side))
        except Exception:  # each network complains in its own way
            continue
        if isinstance(found, Tensor) and found.ndim == 2:
            return (0 if side == LEAST else side), int(found.shape[1])
    raise UserError("this network of timm gives no features (images, width) without its classifier; give another one")


def _digest(name: str, body: nn.Module) -> str:
    """16 hex digits that name network and weights."""
    digest = hashlib.sha256(name.encode())
    for key, value in body.state_dict().items():
        digest.update(key.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
