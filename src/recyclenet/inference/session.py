"""Opening a model file: checked byte for byte, then given to ONNX Runtime."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from recyclenet.core.model_info import METADATA_KEY, ModelInfo, check_seal
from recyclenet.core.text import show_path
from recyclenet.errors import ModelFileError, UsageError

MAX_MODEL_BYTES = 2**31 - 1
# What all models of a process may hold in memory at a time, weights and results together.
MAX_MEMORY_BYTES = 8 * 2**30

_FLOAT = "tensor(float)"


class Session(Protocol):
    """A model, ready to run, whatever runs it.

    Attributes:
        info: the facts of the model.
    """

    info: ModelInfo

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the logits `(N, K)` float32 of a batch `(N, *input_shape)` float32.

        Raises:
            ModelFileError: the model fails.
        """


def open_session(path: Path | None = None, threads: int | None = None) -> Session:
    """Open a model file with the runtime that fits it, today always ONNX Runtime on the CPU.

    Args:
        path: a sealed `.onnx` file; None for the model that comes with the package.
        threads: how many threads one run may use; None for all cores.

    Raises:
        UsageError: there is no such file, or it cannot be opened.
        ModelFileError: the file is damaged, altered, or disagrees with its own facts.
    """
    return OnnxSession(default_model_path() if path is None else path, threads)


class OnnxSession:
    """A verified model in ONNX Runtime.

    Args:
        path: a sealed `.onnx` file.
        threads: how many threads one run may use; None for all cores.
        providers: ONNX Runtime's execution providers, in order of preference.

    Raises:
        UsageError: there is no such file, or it cannot be opened.
        ModelFileError: the file is damaged, altered, or disagrees with its own facts.
    """

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        self.path = path
        name = show_path(self.path)
        content = _read(self.path, name)
        check_seal(content, name)
        self._name = name
        try:
            self._session = onnxruntime.InferenceSession(
                content, _options(threads), providers=list(providers)
            )
            facts = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
            inputs = [(i.name, i.type, i.shape) for i in self._session.get_inputs()]
            outputs = [(o.type, o.shape) for o in self._session.get_outputs()]
        except Exception as error:  # ONNX Runtime raises its own kinds, one a cause
            raise ModelFileError(f"{name} cannot be run: {_reason(error)}") from error
        if facts is None:
            raise ModelFileError(f"{name} carries no RecycleNet facts; export it again")
        try:
            self.info = ModelInfo.from_json(facts)
        except ModelFileError as error:
            raise ModelFileError(f"{name}: {error}") from error
        shape, num_classes = self.info.preprocess.input_shape, len(self.info.class_names)
        if len(inputs) != 1 or tuple(inputs[0][2][1:]) != shape:
            said = "x".join(map(str, shape))
            raise ModelFileError(f"{name} does not take pictures of {said} as it says")
        self._input_name, kind, (num_pictures, *_) = inputs[0]
        if kind != _FLOAT or isinstance(num_pictures, int):
            wanted = f"any number of pictures as {_FLOAT}"
            raise ModelFileError(f"{name} takes {num_pictures} as {kind}, not {wanted}")
        if len(outputs) != 1:
            raise ModelFileError(f"{name} has {len(outputs)} outputs, not one; export it again")
        kind, answer = outputs[0]
        if kind != _FLOAT or len(answer) != 2:
            raise ModelFileError(
                f"{name} answers with {kind} of shape {answer}, not with one row of {num_classes} "
                f"classes a picture as {_FLOAT}"
            )
        if answer[1] != num_classes:
            raise ModelFileError(
                f"{name} answers with {answer[1] or 'any number of'} classes but names "
                f"{num_classes}; export it again"
            )

    def run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the logits `(N, K)` float32 of a batch `(N, 3, S, S)` float32.

        Raises:
            ModelFileError: the graph fails, or gives no row of K logits for each picture.
        """
        try:
            (logits,) = self._session.run(None, {self._input_name: batch})
        except Exception as error:  # as above
            raise ModelFileError(f"{self._name} failed at work: {_reason(error)}") from error
        expected = len(batch), len(self.info.class_names)
        if logits.shape != expected:
            raise ModelFileError(
                f"{self._name} gave logits of shape {logits.shape} for {len(batch)} pictures, not "
                f"a row for each, {expected}; export it again"
            )
        return np.asarray(logits, np.float32)


def default_model_path() -> Path:
    """Return where the model that comes with the package lies."""
    return Path(str(files("recyclenet") / "assets" / "trashnet.onnx"))


def _options(threads: int | None) -> onnxruntime.SessionOptions:
    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.use_env_allocators", "1")
    # The seal covers this one file: weights in other files are looked for where nothing can be.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", f"{os.devnull}/none"
    )
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


@cache
def _limit_memory() -> None:
    """Give ONNX Runtime one arena for all sessions, no larger than `MAX_MEMORY_BYTES`."""
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    arena = onnxruntime.OrtArenaCfg({"max_mem": MAX_MEMORY_BYTES})
    onnxruntime.create_and_register_allocator(memory, arena)


def _reason(error: Exception) -> str:
    """Return what ONNX Runtime says, without where in its sources it says so."""
    text = str(error).rpartition("Status Message: ")[2]
    if "std::bad_alloc" in text:
        return "there is not enough memory for it"
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/\S+ .*?\) ", "", text)
    return " ".join(text.split())[:200] or type(error).__name__


def _read(path: Path, name: str) -> bytes:
    try:
        if not path.is_file():
            raise UsageError(f"there is no model file {name}")
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise ModelFileError(f"{name} is larger than an ONNX file can be")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the model file {name}: {error.strerror}") from error
