"""Models as MLflow keeps them (pyfunc, models from code): folders that can be served where metad2a never was."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from databases.errors import UserError
from databases.files import recover_folder
from metad2a.runtime.files import refuse_foreign, replace_results
from metad2a.runtime.mlflow_client import prepare_environment

if TYPE_CHECKING:
    from mlflow.models import ModelSignature


def write_model(
    folder: Path, *, code: Path, files: Mapping[str, Path], signature: ModelSignature, packages: Sequence[str]
) -> Path:
    """Writes an MLflow model into ``folder``, all of it or nothing; one of ours that is there is replaced.

    Args:
        folder: where to.
        code: a Python file that calls `mlflow.models.set_model`.
        files: what its `load_context` finds as artifacts, by name.
        signature: what it takes and gives.
        packages: what it imports; their versions here are noted as requirements.

    Raises:
        UserError: something else is in that place, or nothing can be written.
    """
    prepare_environment()
    with _hints_unmentioned():
        import mlflow.pyfunc

    with suppress(OSError):  # where that cannot be, writing tells
        recover_folder(folder)
    refuse_foreign(folder.parent, [folder.name])
    wanted = [_requirement(name) for name in ("mlflow", *packages)]
    draft = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".mlflow-", dir=folder.parent))
        with _hints_unmentioned():
            mlflow.pyfunc.save_model(
                str(draft / "model"),
                python_model=str(code),
                artifacts={name: str(path) for name, path in files.items()},
                signature=signature,
                pip_requirements=wanted,
            )
        replace_results(draft / "model", folder)
    except (OSError, mlflow.MlflowException) as problem:
        reason = (str(problem).splitlines() or ["unknown"])[0][:200]
        raise UserError(f"cannot write {str(folder)!r} ({reason}): make room or name another") from problem
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


@contextmanager
def _hints_unmentioned() -> Iterator[None]:
    """Keeps MLflow's warnings about type hints, its own and those of models, from our user."""
    with warnings.catch_warnings(record=True):  # recorded, since it unfilters some of them
        warnings.simplefilter("ignore")
        yield


def _requirement(package: str) -> str:
    try:
        return f"{package}=={version(package).partition('+')[0]}"
    except PackageNotFoundError:  # run from its source, without having been installed
        return package


def takes_pictures(classes: Sequence[str]) -> ModelSignature:
    """uint8 (n, h, w, channels) in, a column of probabilities for each class out."""
    import numpy as np

    with _hints_unmentioned():
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema, TensorSpec

    pictures = Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, -1))])
    return ModelSignature(inputs=pictures, outputs=Schema([ColSpec("float", name) for name in classes]))


def takes_archives(options: Mapping[str, int | str]) -> ModelSignature:
    """Rows of a file's name and its bytes in (base64 in JSON); ``options`` are parameters with their defaults."""
    with _hints_unmentioned():
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    kinds = {int: "long", str: "string"}
    asked = ParamSchema([ParamSpec(name, kinds[type(value)], value) for name, value in options.items()])
    return ModelSignature(inputs=Schema([ColSpec("string", "name"), ColSpec("binary", "archive")]), params=asked)
