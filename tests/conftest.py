"""Shared fixtures: generated pictures good and bad, a tiny model, and the real command."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The tests run in more processes than there are cores; more threads would only wait for a core.
# PyTorch and NumPy read it on import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings
from PIL import ExifTags, Image

from forks import Finished, Fork
from recyclenet.core.model_info import METADATA_KEY, ModelInfo, seal
from recyclenet.core.preprocess import Preprocess
from recyclenet.core.resources import num_cores

if TYPE_CHECKING:
    from recyclenet.training.run import Run

REPOSITORY = Path(__file__).resolve().parents[1]
# The channel that is bright in the photos of each class, and that the tiny model looks at.
CHANNELS = {"glass": 1, "metal": 2, "paper": 0}
CLASS_NAMES = tuple(CHANNELS)
NUM_PER_CLASS = 12

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every command
# they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C stop the tests also after a command in this process."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


# A busy machine is no defect of the code under test.
settings.register_profile(
    "recyclenet",
    deadline=None,
    max_examples=60,
    derandomize="CI" in os.environ,  # the same cases each time; elsewhere, new ones
)
settings.load_profile("recyclenet")


def pytest_xdist_auto_num_workers() -> int:
    """Return three processes for two cores: tests wait for servers a third of their time."""
    return round(1.5 * num_cores())


# Trainings, exports, whole commands, waiting cameras and long searches for counterexamples.
SLOW = (
    "contract",
    "integration",
    "property",
    "unit/camera/test_watching",
    "unit/cli/test_models",
    "unit/cli/test_training_commands",
    "unit/cli/test_watch",
    "unit/core/test_bounds",
    "unit/costs",
    "unit/exporting",
    "unit/operations",
    "unit/training/test_cache",
    "unit/training/test_features",
    "unit/training/test_fit",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the slow tests, which `make check` leaves out; leave out the exhaustive ones."""
    for item in items:
        place = item.path.relative_to(REPOSITORY / "tests").as_posix()
        if place.startswith(SLOW):
            item.add_marker(pytest.mark.slow)
    if "exhaustive" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("exhaustive")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]


def colour(label: str, level: int = 200) -> tuple[int, int, int]:
    """Return the flat colour of one class."""
    channels = [40, 40, 40]
    channels[CHANNELS[label]] = level
    return channels[0], channels[1], channels[2]


def photo(label: str, seed: int, width: int = 96, height: int = 72) -> Image.Image:
    """Return a seeded picture in which the channel of `label` is the brightest."""
    noise = np.random.default_rng(seed).integers(-30, 31, (height // 8, width // 8, 3))
    small = (np.asarray(colour(label)) + noise).clip(0, 255).astype(np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with the real photos."""
    place = Path(os.environ.get("RECYCLENET_DATA") or REPOSITORY.parent / "shared")
    if not place.is_dir():
        pytest.skip(f"no real photos at {place}; set RECYCLENET_DATA to their folder")
    return place


@pytest.fixture(scope="session")
def trashnet_dir(shared_dir: Path) -> Path:
    """TrashNet: 2,527 photos in six class folders."""
    place = shared_dir / "trashnet"
    if not place.is_dir():
        pytest.skip(f"no TrashNet at {place}; get it with `recyclenet data download trashnet`")
    return place


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 JPEGs in the class folders glass, metal and paper; do not change it."""
    root = tmp_path_factory.mktemp("photos")
    for label in CLASS_NAMES:
        (root / label).mkdir()
        for number in range(NUM_PER_CLASS):
            path = root / label / f"{label}{number + 1}.jpg"
            photo(label, 100 * CHANNELS[label] + number).save(path, quality=90)
    return root


@pytest.fixture(scope="session")
def tiny() -> str:
    """A recipe file that trains in a second."""
    return str(REPOSITORY / "tests" / "tiny.toml")


@pytest.fixture(scope="session")
def trained_run(photo_folder: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run on the generated photos, exported; do not change it."""
    pytest.importorskip("lightning")
    from recyclenet.operations.train import train

    settings = {"optim.learning_rate": 5e-3, "fit.epochs": 4, "streams.paper": "kitchen"}
    return train(photo_folder, tmp_path_factory.mktemp("runs") / "run", tiny, settings=settings)


@pytest.fixture(scope="session")
def messy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Awkward pictures and names in `good/`, files that are none in `bad/`; do not change it."""
    root = tmp_path_factory.mktemp("messy")
    good, bad = root / "good", root / "bad"
    good.mkdir()
    bad.mkdir()
    picture = photo("glass", 1)
    rgba = picture.convert("RGBA")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture.save(good / "rotated.jpg", exif=exif)
    picture.convert("CMYK").save(good / "cmyk.jpg")
    picture.convert("L").save(good / "grey.png")
    picture.convert("1").save(good / "1-bit.png")
    Image.fromarray(np.full((32, 32), 40_000, np.uint16)).save(good / "16-bit.png")
    rgba.save(good / "alpha.png")
    picture.quantize(16).save(good / "palette.png")
    picture.save(good / "animated.gif", save_all=True, append_images=[photo("paper", 2)])
    picture.save(good / "modern.webp")
    picture.save(good / "modern.avif")
    picture.save(good / "uncompressed.bmp")
    picture.save(good / "scan.tiff")
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=95)
    names = [
        "玻璃瓶.jpg",
        "bottle 🍾.jpg",
        "two words.jpg",
        "-dash.jpg",
        "copy a.jpg",
        "copy b.jpg",
    ]
    for name in names:
        (good / name).write_bytes(jpeg.getvalue())
    (bad / "empty.jpg").write_bytes(b"")
    (bad / "text.jpg").write_text("this is no picture\n" * 20)
    (bad / "cut.jpg").write_bytes(jpeg.getvalue()[: len(jpeg.getvalue()) // 2])
    (bad / "header only.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    noise = bytearray(jpeg.getvalue())
    noise[2:40] = bytes(38)
    (bad / "corrupt.jpg").write_bytes(bytes(noise))
    return root


MakeModel = Callable[..., Path]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """A function that writes a model which answers with the class of the brightest channel."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def make(
        *,
        image_size: int = 16,
        class_names: Sequence[str] = CLASS_NAMES,
        num_outputs: int | None = None,
        mask: np.ndarray[Any, Any] | None = None,
        facts: str | None = "",
        sealed: bool = True,
        features: bool = False,
        **changes: Any,
    ) -> Path:
        """Write a model.

        Args:
            image_size: pixels, of the graph's input and, if `changes` say no other, of its facts.
            class_names: in the facts.
            num_outputs: of the graph; as many as names by default.
            mask: `(S, S)`, weight of each place of the picture; all alike by default.
            facts: JSON text instead of the right one; None for none at all.
            sealed: append the digest.
            features: also return the mean of each channel, `(N, 3)`, as `features`.
            changes: other facts.
        """
        num_outputs = num_outputs or len(class_names)
        weights = np.zeros((num_outputs, 3), np.float32)
        for row in range(min(3, num_outputs)):
            weights[row, list(CHANNELS.values())[row]] = 4.0
        place = np.ones((1, 1, image_size, image_size), np.float32) if mask is None else mask
        constants = {"mask": place.reshape(1, 1, image_size, image_size), "weights": weights}
        flat = "features" if features else "flat"
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", num_outputs])]
        if features:
            outputs.append(helper.make_tensor_value_info(flat, TensorProto.FLOAT, ["N", 3]))
            changes.setdefault("num_features", 3)
        graph = helper.make_graph(
            [
                helper.make_node("Mul", ["input", "mask"], ["masked"]),
                helper.make_node("GlobalAveragePool", ["masked"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], [flat]),
                helper.make_node("Gemm", [flat, "weights"], ["logits"], transB=1),
            ],
            "brightest channel",
            [
                helper.make_tensor_value_info(
                    "input", TensorProto.FLOAT, ["N", 3, image_size, image_size]
                )
            ],
            outputs,
            [
                numpy_helper.from_array(value.astype(np.float32), name)
                for name, value in constants.items()
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(model)
        if facts == "":
            values: dict[str, Any] = {
                "name": "tiny",
                "class_names": tuple(class_names),
                "preprocess": Preprocess(image_size=image_size),
                "streams": dict.fromkeys(class_names, "recyclable"),
                "threshold": 0.4,
            }
            facts = ModelInfo(**{**values, **changes}).to_json()
        if facts is not None:
            helper.set_model_props(model, {METADATA_KEY: facts})
        content = model.SerializeToString()
        path = tmp_path_factory.mktemp("model") / "model.onnx"
        path.write_bytes(seal(content) if sealed else content)
        return path

    return make


@pytest.fixture(scope="session")
def decisive_model(make_model: MakeModel, tiny_model: Path, photo_folder: Path) -> Path:
    """The tiny model with the statistics that `export` writes, from the photos in the folder."""
    from recyclenet.data.dataset import load_dataset
    from recyclenet.evaluation.predict import predict
    from recyclenet.evaluation.statistics import decision_statistics
    from recyclenet.inference.classifier import Classifier

    classifier = Classifier(tiny_model, threads=1)
    table = predict(classifier, load_dataset(photo_folder))
    return make_model(statistics=decision_statistics(table, classifier.info.temperature))


@pytest.fixture(scope="session")
def tiny_model(make_model: MakeModel) -> Path:
    """A sealed model: green is glass, blue is metal, red is paper."""
    return make_model()


@pytest.fixture(scope="session")
def run_cli() -> Callable[..., Finished]:
    """A function that runs the real command in a process of its own."""

    def run(*words: object, cwd: Path | None = None, env: Mapping[str, str] = {}) -> Finished:
        finished = Fork(words, cwd=cwd, env={**os.environ, **env}).wait()
        assert "Traceback" not in finished.err, finished.err
        assert "defect" not in finished.err, finished.err
        return finished

    return run
