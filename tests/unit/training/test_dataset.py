from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recyclenet.core.images import decode_image
from recyclenet.core.preprocess import Preprocess
from recyclenet.data.dataset import load_dataset
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.training import dataset as subject
from recyclenet.training.dataset import (
    EvaluationPhotos,
    SeededSampler,
    TrainingPhotos,
    evaluation_loader,
    sampling_probabilities,
    training_loader,
)
from recyclenet.training.recipe import AugmentSection, Sampling

PREPROCESS = Preprocess(image_size=32)
NAMES = ("glass", "metal", "paper")


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def draws(seed: int, epoch: int) -> list[tuple[int, int]]:
        sampler = SeededSampler(20, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert draws(1, 2) == draws(1, 2)
    assert len({str(draws(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert sorted(index for index, _ in draws(3, 0)) == list(range(20))


@pytest.mark.parametrize(
    ("sampling", "shares"),
    [
        ("class", {"glass": 1 / 2, "metal": 1 / 2}),
        ("domain", {"web": 1 / 2, "home": 1 / 2}),
        # Cells of 16, 4 and 1 photos: in proportion to the roots of their sizes.
        ("domain-class", {"web glass": 4 / 7, "web metal": 2 / 7, "home metal": 1 / 7}),
    ],
)
def test_classes_and_domains_are_sampled_as_the_recipe_says(
    sampling: Sampling, shares: dict[str, float]
) -> None:
    cells = ["web glass"] * 16 + ["web metal"] * 4 + ["home metal"]
    manifest = Manifest(
        tuple(
            Sample(Path(f"{n}.jpg"), cell.split()[1], domain=cell.split()[0])
            for n, cell in enumerate(cells)
        )
    )
    probabilities = sampling_probabilities(manifest, sampling)
    for name, share in shares.items():
        found = sum(p for p, cell in zip(probabilities, cells, strict=True) if name in cell)
        assert found == pytest.approx(share)
    drawn = [cells[index] for index, _ in SeededSampler(21, 0, probabilities)]
    assert len(drawn) == 21
    assert sampling_probabilities(manifest, "none") == []


def test_a_draw_always_gives_the_same_picture_and_leaves_the_random_state_alone(
    photo_folder: Path,
) -> None:
    manifest = load_dataset(photo_folder)
    photos = TrainingPhotos(manifest, NAMES, PREPROCESS, AugmentSection(crop_size=32))
    state = torch.get_rng_state()
    first, target = photos[0, 7]
    again, _ = photos[0, 7]
    other, _ = photos[0, 8]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (3, 32, 32)
    assert NAMES[target] == manifest.samples[0].label


def test_groups_of_changes_change_the_picture(photo_folder: Path) -> None:
    manifest = load_dataset(photo_folder)

    def picture(**fields: object) -> torch.Tensor:
        still = {"min_scale": 1.0, "horizontal_flip": False, "trivial_augment": False}
        augment = AugmentSection.model_validate({"crop_size": 32, **still, **fields})
        return TrainingPhotos(manifest, NAMES, PREPROCESS, augment)[0, 7][0]

    plain = picture()
    assert torch.equal(plain, picture(groups=("affine",), probability=0.0))
    changed = picture(groups=("affine",), probability=1.0)
    assert not torch.equal(plain, changed)
    assert torch.equal(changed, picture(groups=("affine",), probability=1.0))


def test_evaluation_photos_go_through_the_evaluation_transform(photo_folder: Path) -> None:
    manifest = load_dataset(photo_folder)
    image, _ = EvaluationPhotos(manifest, NAMES, PREPROCESS)[3]
    expected = PREPROCESS(decode_image(manifest.samples[3].path, min_side=PREPROCESS.min_side))
    assert np.array_equal(image.numpy(), expected)


def test_a_short_last_batch_is_left_out_unless_it_is_the_only_one(photo_folder: Path) -> None:
    photos = TrainingPhotos(
        load_dataset(photo_folder), NAMES, PREPROCESS, AugmentSection(crop_size=32)
    )
    assert len(training_loader(photos, 32, 0)) == 1
    assert len(training_loader(photos, 64, 0)) == 1


def test_worker_processes_load_the_same_batches(
    photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine whose GPU waits for photos."""
    manifest = load_dataset(photo_folder)

    def batches(num_workers: int) -> list[torch.Tensor]:
        monkeypatch.setattr(subject, "num_workers", lambda: num_workers)
        augment = AugmentSection(crop_size=32)
        training = TrainingPhotos(manifest, NAMES, PREPROCESS, augment)
        evaluation = EvaluationPhotos(manifest, NAMES, PREPROCESS)
        loaders = training_loader(training, 8, 3), evaluation_loader(evaluation, 8)
        return [images for loader in loaders for images, _ in loader]

    here, there = batches(0), batches(2)
    assert len(here) == len(there) == 9
    assert all(map(torch.equal, here, there))
