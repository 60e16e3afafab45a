"""Opening a model file: checked byte for byte, then given to ONNX Runtime."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from recyclenet.core.model_info import METADATA_KEY, ModelInfo, check_seal
from recyclenet.core.text import show_path
from recyclenet.errors import ModelFileError, UsageError

MAX_MODEL_BYTES = 2**31 - 1


class Session:
    """A verified model, ready to run.

    Args:
        path: a sealed `.onnx` file; None for the model that comes with the package.
        threads: how many threads one run may use; None for all cores.

    Raises:
        UsageError: there is no such file, or it cannot be opened.
        ModelFileError: the file is damaged, altered, or disagrees with its own facts.
    """

    def __init__(self, path: Path | None = None, threads: int | None = None) -> None:
        self.path = default_model_path() if path is None else path
        name = show_path(self.path)
        content = _read(self.path, name)
        check_seal(content, name)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises its own kinds, one a cause
            reason = str(error).splitlines()[0][:200]
            raise ModelFileError(f"{name} cannot be run: {reason}") from error
        facts = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if facts is None:
            raise ModelFileError(f"{name} carries no RecycleNet facts; export it again")
        self.info = ModelInfo.from_json(facts)
        self._check_shapes(name)

    def _check_shapes(self, name: str) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        size = self.info.preprocess.image_size
        if len(inputs) != 1 or list(inputs[0].shape[1:]) != [3, size, size]:
            raise ModelFileError(f"{name} does not take pictures of 3x{size}x{size} as it says")
        num_classes = outputs[0].shape[-1] if outputs[0].shape else 0
        if num_classes != len(self.info.class_names):
            raise ModelFileError(
                f"{name} answers with {num_classes} classes but names "
                f"{len(self.info.class_names)}; export it again"
            )
        self._input_name = inputs[0].name

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the logits `(N, K)` float32 of a batch `(N, 3, S, S)` float32."""
        logits = self._session.run(None, {self._input_name: batch})[0]
        return np.asarray(logits, np.float32)


def default_model_path() -> Path:
    """Return where the model that comes with the package lies."""
    return Path(str(files("recyclenet") / "assets" / "trashnet.onnx"))


def _read(path: Path, name: str) -> bytes:
    try:
        if not path.is_file():
            raise UsageError(f"there is no model file {name}")
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise ModelFileError(f"{name} is larger than an ONNX file can be")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the model file {name}: {error.strerror}") from error
