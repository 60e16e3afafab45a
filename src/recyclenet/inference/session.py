"""Open a model file: check its seal, then load it into ONNX Runtime."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from recyclenet.core import protobuf
from recyclenet.core.decision import sigmoid
from recyclenet.core.model_info import METADATA_KEY, ModelInfo, check_seal, find_metadata
from recyclenet.core.resources import num_cores
from recyclenet.core.run_folder import RunFolder
from recyclenet.core.text import show_path
from recyclenet.errors import ModelFileError, UsageError
from recyclenet.inference.head import CORRECTION, HEAD, UNKNOWN, read_head, widen

# Names the model in the package where a command takes several kinds of models.
BUILT_IN = "built-in"
MAX_MODEL_BYTES = 2**31 - 1
# Memory limit for all models of a process together, including weights and activations.
MAX_MEMORY_BYTES = 8 * 2**30

_FLOAT = "tensor(float)"
# Far above what any network has; reading so many takes about a second.
MAX_FIELDS = 1_000_000
# Places of ONNX's fields: the graph, its operators, their names and their attributes.
_GRAPH, _NODE = (7,), (7, 1)
_OPERATOR, _ATTRIBUTE = (*_NODE, 4), (*_NODE, 5)
_REFUSED = {
    (25,): "a function",
    (*_ATTRIBUTE, 6): "a subgraph in {}",
    (*_ATTRIBUTE, 11): "subgraphs in {}",
}


class Outputs(NamedTuple):
    """What a model returns for a batch of N images, or for one image (without the first axis).

    Attributes:
        logits: `(N, K)` float32.
        features: `(N, D)` float32, the input of the network's last layer; None if the model file
            has no such output.
        unknown: `(N,)` float32, 0 to 1, the probability that an image shows none of the classes;
            None if the model file has no unknown score.
    """

    logits: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32] | None = None
    unknown: npt.NDArray[np.float32] | None = None


class Session(Protocol):
    """A loaded model, independent of the runtime.

    Attributes:
        info: the model's metadata.
        sha256: digest of the model file, hexadecimal.
    """

    info: ModelInfo
    sha256: str

    def run(self, batch: npt.NDArray[np.float32]) -> Outputs:
        """Return the logits and features of a batch `(N, *input_shape)` float32.

        Raises:
            ModelFileError: the model failed.
        """


def open_session(path: Path | None = None, threads: int | None = None) -> Session:
    """Open a model file with a suitable runtime, currently always ONNX Runtime on the CPU.

    Args:
        path: a sealed `.onnx` file, or a run folder that has one; None for the built-in model.
        threads: number of threads per run; None for all cores.

    Raises:
        UsageError: the file does not exist or cannot be read.
        ModelFileError: the file is damaged or altered, or its graph contradicts its metadata.
    """
    return OnnxSession(default_model_path() if path is None else find_model(path), threads)


class OnnxSession:
    """A verified model in ONNX Runtime.

    Args:
        path: a sealed `.onnx` file.
        threads: number of threads per run; None for all cores.
        providers: ONNX Runtime's execution providers, in order of preference.

    Raises:
        UsageError: the file does not exist or cannot be read.
        ModelFileError: the file is damaged or altered, or its graph contradicts its metadata.
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
        self.sha256 = check_seal(content, name)
        _check_operators(content, name)
        self._name = name
        try:
            self._session = onnxruntime.InferenceSession(
                content, _options(threads), providers=list(providers)
            )
            metadata = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
            inputs = [(i.name, i.type, i.shape) for i in self._session.get_inputs()]
            outputs = {o.name: (o.type, o.shape) for o in self._session.get_outputs()}
        except Exception as error:  # ONNX Runtime has many exception types without a common base
            raise ModelFileError(
                f"{name} cannot be loaded: {_reason(error)}; export the model again"
            ) from error
        if metadata is None:
            raise ModelFileError(f"{name} has no RecycleNet metadata; export the model again")
        try:
            self.info = ModelInfo.from_json(metadata)
        except ModelFileError as error:
            raise ModelFileError(f"{name}: {error}") from error
        shape = self.info.preprocess.input_shape
        if len(inputs) != 1 or tuple(inputs[0][2][1:]) != shape:
            expected = "x".join(map(str, shape))
            received = " and ".join(str(dimensions[1:]) for _, _, dimensions in inputs)
            raise ModelFileError(
                f"{name} must take images of shape {expected}, as its metadata says, not "
                f"{received or 'no input'}; export the model again"
            )
        self._input_name, dtype, (batch_size, *_) = inputs[0]
        if dtype != _FLOAT or isinstance(batch_size, int):
            raise ModelFileError(
                f"{name} must accept batches of any size as {_FLOAT}, not of size {batch_size} as "
                f"{dtype}; export the model again"
            )
        num_classes, num_features = len(self.info.class_names), self.info.num_features
        try:
            self._head, self._correction = (
                read_head(self.info.statistics, name, num_classes, num_features)
                for name in (HEAD, CORRECTION)
            )
            self._unknown = read_head(self.info.statistics, UNKNOWN, 1, num_features)
        except ModelFileError as error:
            raise ModelFileError(f"{name}: {error}") from error
        # A replaced head takes the place of the graph's logits, which then may have any width; a
        # corrected graph may know fewer classes.
        widths = {"logits": num_classes if self._head is None else None}
        if self._correction is not None and "logits" in outputs:
            widths["logits"] = min(num_classes, max(1, _width(outputs["logits"][1])))
        if num_features:
            widths["features"] = num_features
        _check_outputs(name, outputs, widths)
        self._widths = {output: width for output, width in widths.items() if width is not None}

    def run(self, batch: npt.NDArray[np.float32]) -> Outputs:
        """Return the logits and features of a batch `(N, 3, S, S)` float32.

        Raises:
            ModelFileError: the graph failed or returned an output of the wrong shape.
        """
        try:
            arrays = self._session.run(list(self._widths), {self._input_name: batch})
        except Exception as error:  # see above
            raise ModelFileError(
                f"{self._name} failed to run: {_reason(error)}; use another model"
            ) from error
        found = dict(zip(self._widths, arrays, strict=True))
        for output, width in self._widths.items():
            if found[output].shape != (expected := (len(batch), width)):
                raise ModelFileError(
                    f"{self._name} returned {output} of shape {found[output].shape}, not one row "
                    f"per image, {expected}; export the model again"
                )
        if self._head is not None:
            logits = self._head(found["features"])
        elif self._correction is not None:
            correction = self._correction(found["features"])
            logits = widen(found["logits"], correction.shape[1]) + correction
        else:
            logits = found["logits"]
        if self._unknown is None:
            return Outputs(logits, found.get("features"))
        unknown = sigmoid(self._unknown(found["features"])[:, 0])
        return Outputs(logits, found["features"], unknown)


def _width(shape: Sequence[Any]) -> int:
    """Return the length of a row of an output; 0 if it has none that is known."""
    return shape[1] if len(shape) == 2 and isinstance(shape[1], int) else 0


def _check_outputs(
    name: str, outputs: dict[str, tuple[str, Any]], widths: dict[str, int | None]
) -> None:
    """Refuse a graph whose outputs are not those that the metadata promises.

    Args:
        name: the file, for error messages.
        outputs: type and shape of each output of the graph, by name.
        widths: the expected length of a row of each output, by name; None for an unused output.
    """
    if outputs.keys() != widths.keys():
        raise ModelFileError(
            f"{name} must have the outputs {' and '.join(widths)}, not "
            f"{' and '.join(sorted(outputs))[:100]}; export the model again"
        )
    for output, width in widths.items():
        if width is None:
            continue
        dtype, shape = outputs[output]
        if dtype != _FLOAT or len(shape) != 2:
            raise ModelFileError(
                f"{name} must return one row of {width} {output} per image as {_FLOAT}, "
                f"not {dtype} of shape {shape}; export the model again"
            )
        if shape[1] != width:
            promised = f"names {width} classes" if output == "logits" else f"says {width}"
            raise ModelFileError(
                f"{name} returns {shape[1] or 'an unknown number of'} {output} per image, but its "
                f"metadata {promised}; export the model again"
            )


def _check_operators(content: bytes, name: str) -> None:
    """Refuse functions and subgraphs, which no export writes.

    A `Loop`, which has a subgraph, may never end. Nor may the loading of functions, because ONNX
    Runtime replaces each call by the function's operators.

    Args:
        content: the model file.
        name: the file, for error messages.
    """
    operator = "an operator"
    places = protobuf.walk(memoryview(content), (_GRAPH, _NODE, _ATTRIBUTE))
    try:
        for count, (place, value) in enumerate(places):
            if count == MAX_FIELDS:
                raise ModelFileError(
                    f"{name} has more than {MAX_FIELDS:,} fields; export the model again"
                )
            if place == _OPERATOR:
                operator = bytes(value[:40]).decode(errors="replace")
            elif place in _REFUSED:
                raise ModelFileError(
                    f"{name} contains {_REFUSED[place].format(operator)}, which RecycleNet does "
                    f"not run; export the model again"
                )
    except ValueError as error:
        raise ModelFileError(f"{name} is not a valid ONNX file: {error}; copy it again") from error


def read_info(path: Path) -> ModelInfo:
    """Return the metadata of a model file, without loading its graph.

    Raises:
        UsageError: the file does not exist or cannot be read.
        ModelFileError: the file is damaged or altered, or has no valid metadata.
    """
    name = show_path(path)
    content = _read(path, name)
    check_seal(content, name)
    try:
        return ModelInfo.from_json(find_metadata(content))
    except ModelFileError as error:
        raise ModelFileError(f"{name}: {error}") from error


def find_model(path: Path) -> Path:
    """Return the model file that a path means: that of a run folder, the built-in one, or itself.

    Args:
        path: a run folder, `BUILT_IN` (unless a file has this name), or a model file.

    Raises:
        UsageError: the run folder has no model yet.
    """
    if path.is_dir():
        model = RunFolder(path).model
        if not model.is_file():
            raise UsageError(
                f"{show_path(path)} has no model.onnx; finish its run: recyclenet train --resume "
                f"{show_path(path)}"
            )
        return model
    return default_model_path() if str(path) == BUILT_IN and not path.exists() else path


def default_model_path() -> Path:
    """Return the path of the built-in model."""
    return Path(str(files("recyclenet") / "assets" / "built-in.onnx"))


def _options(threads: int | None) -> onnxruntime.SessionOptions:
    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Otherwise a file in ONNX Runtime's own format would be loaded, unchecked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # The seal covers only this file, so loading weights from other files must fail.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", f"{os.devnull}/none"
    )
    # ONNX Runtime starts one thread per physical core of the machine, also in a small container.
    if threads is None and num_cores() < (os.cpu_count() or 1):
        threads = num_cores()
    if threads is not None:
        options.intra_op_num_threads = threads
    return options


@cache
def _limit_memory() -> None:
    """Make all ONNX Runtime sessions share one arena of at most `MAX_MEMORY_BYTES`."""
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    arena = onnxruntime.OrtArenaCfg({"max_mem": MAX_MEMORY_BYTES})
    onnxruntime.create_and_register_allocator(memory, arena)


def _reason(error: Exception) -> str:
    """Return ONNX Runtime's message without its error codes and source locations."""
    text = str(error).rpartition("Status Message: ")[2]
    if "std::bad_alloc" in text:
        return "not enough memory"
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/\S+ .*?\) ", "", text)
    return " ".join(text.split())[:200] or type(error).__name__


def _read(path: Path, name: str) -> bytes:
    try:
        if not path.is_file():
            raise UsageError(f"no model file {name}; check the path")
        if (size := path.stat().st_size) > MAX_MODEL_BYTES:
            raise ModelFileError(
                f"{name} has {size:,} bytes; an ONNX file has at most {MAX_MODEL_BYTES:,}"
            )
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the model file {name}: {error.strerror}") from error
