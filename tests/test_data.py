"""Datasets by name, the digits, and parts of a dataset that never change."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actzoo.errors import DataError, DeclarationError, UnknownNameError
from actzoo.plugins import datasets
from actzoo.tasks import builtin, downloads
from actzoo.tasks.images import Images
from actzoo.tasks.split import holdout
from actzoo.tasks.task import Dataset

NAMES = ("digits", *downloads.SOURCES)


# --- names -----------------------------------------------------------------------------------


def test_all_datasets_of_the_hook() -> None:
    values = {value.name: value for value in builtin.actzoo_datasets()}
    assert tuple(values) == NAMES
    assert all(value.description for value in values.values())
    assert set(NAMES) == {
        *("digits", "mnist", "fashion_mnist", "kmnist", "emnist"),
        *("qmnist", "usps", "cifar10", "svhn"),
    }


def test_import_is_light() -> None:
    code = (
        "import sys, actzoo.plugins.datasets\n"
        "print(*({'sklearn', 'torchvision', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_find_ignores_case_and_dashes() -> None:
    assert datasets.find("Fashion-MNIST").name == "fashion_mnist"


def test_unknown_name_suggests_the_nearest_and_npz() -> None:
    with pytest.raises(UnknownNameError, match="did you mean") as caught:
        datasets.find("fashon_mnist")
    assert "fashion_mnist" in str(caught.value)
    assert "npz:PATH" in str(caught.value)


def test_a_path_without_npz_is_told_how() -> None:
    with pytest.raises(UnknownNameError, match=r"npz:my/own\.npz"):
        datasets.find("my/own.npz")


def test_npz_needs_a_path() -> None:
    with pytest.raises(DataError, match="npz:PATH"):
        datasets.find("npz:")


def test_find_npz_reads_nothing_and_is_named_after_the_file(tmp_path: Path) -> None:
    found = datasets.find(f"npz:{tmp_path}/Mine v2.npz")
    assert found.name == "npz:Mine v2.npz"
    assert pickle.loads(pickle.dumps(found)).name == found.name  # goes to worker processes


def test_other_names_stay_checked() -> None:
    with pytest.raises(DeclarationError, match="lower_snake_case"):
        Dataset(name="Mine v2.npz", load=lambda root: pytest.fail("not called"), description="")


def test_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(datasets.DATA_ROOT, raising=False)
    assert datasets.data_root(None) == tmp_path / ".cache" / "actzoo"
    monkeypatch.setenv(datasets.DATA_ROOT, str(tmp_path / "env"))
    assert datasets.data_root() == tmp_path / "env"
    assert datasets.data_root("~/given") == tmp_path / "given"
    monkeypatch.chdir(tmp_path)
    assert datasets.data_root("relative") == tmp_path / "relative"
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file; expected a folder"):
        datasets.data_root(tmp_path / "file")


# --- digits ----------------------------------------------------------------------------------


def test_digits(tmp_path: Path) -> None:
    images = datasets.load("digits", tmp_path)
    assert images.shape == (1, 8, 8)
    assert (len(images.x_train), len(images.x_test), images.classes) == (1437, 360, 10)
    assert (len(images.x_train) + len(images.x_test), len(images.x_test)) == (
        builtin.DIGITS,
        builtin.DIGITS_TEST,
    )
    train, test = (torch.bincount(y, minlength=10) for y in (images.y_train, images.y_test))
    assert ((test - (train + test) * 360 / 1797).abs() < 1).all()
    # All 17 gray levels survive, and only they are there.
    levels = torch.cat([images.x_train.flatten(), images.x_test.flatten()]).unique()
    assert levels.tolist() == [(255 * v + 8) // 16 for v in range(17)]
    assert levels[-1] == 255
    assert not any(tmp_path.iterdir())


def test_digits_keeps_each_image_with_its_label(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    expected = {(row.tobytes(), int(y)) for row, y in zip(pixels, target, strict=True)}
    images = datasets.load("digits", tmp_path)
    x = torch.cat([images.x_train, images.x_test]).flatten(1).double() / 255 * 16
    y = torch.cat([images.y_train, images.y_test])
    found = zip(x.round().numpy(), y.tolist(), strict=True)
    assert {(row.tobytes(), label) for row, label in found} == expected


def test_digits_are_the_same_for_ever(tmp_path: Path) -> None:
    fingerprint = datasets.load("digits", tmp_path).fingerprint()
    assert fingerprint == "6c9d86d81928188bf23d91420c818752d6af31254918b7647e67c574e0c4fa5f"


def test_digits_caution() -> None:
    caution = datasets.find("digits").caution
    assert caution == "a smoke test, not evidence: one test image is 0.28 points"


# --- parts of a dataset ----------------------------------------------------------------------


def images_of(counts: list[int]) -> Images:
    """Images whose pixels tell their place in the file, labels well mixed."""
    y = torch.tensor([label for label, count in enumerate(counts) for _ in range(count)])
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
    place = torch.arange(len(y))
    x = torch.stack([place // 256, place % 256], dim=1).to(torch.uint8).view(-1, 1, 1, 2)
    return Images(name="i", x_train=x, y_train=y, x_test=x, y_test=y, classes=len(counts))


def places(images: Images) -> list[int]:
    return (images.x_train.view(-1, 2).long() @ torch.tensor([256, 1])).tolist()


counts_of_classes = st.lists(st.integers(1, 60), min_size=2, max_size=12)


@given(counts=counts_of_classes, draw=st.data())
@settings(deadline=None)
def test_limit(counts: list[int], draw: st.DataObject) -> None:
    images = images_of(counts)
    total = sum(counts)
    n = draw.draw(st.integers(len(counts), total))
    part = images.limited(n)
    chosen = places(part)
    assert len(chosen) == n
    assert chosen == sorted(set(chosen)) == places(images.limited(n))
    assert torch.equal(part.y_train, images.y_train[chosen])
    assert part.x_test is images.x_test and part.y_test is images.y_test
    kept = torch.bincount(part.y_train, minlength=len(counts)).tolist()
    assert min(kept) >= 1
    # Exactly its share, up or down; only lifting a rare class to one may cost another more.
    if all(n * count >= total for count in counts):
        assert all(abs(k - n * c / total) < 1 for k, c in zip(kept, counts, strict=True))
    for label, k in enumerate(kept):
        first = (images.y_train == label).nonzero().flatten()[:k].tolist()
        assert [i for i in chosen if images.y_train[i] == label] == first


@pytest.mark.parametrize("n", [-1, 0, 2, 13])
def test_limit_out_of_range(n: int) -> None:
    with pytest.raises(DataError, match=rf"limit {n} on i: expected 3 .* to 12 "):
        images_of([4, 4, 4]).limited(n)


def test_limit_keeps_a_rare_class() -> None:
    part = images_of([100, 1, 1]).limited(3)
    assert sorted(part.y_train.tolist()) == [0, 1, 2]


@given(counts=counts_of_classes, fraction=st.floats(0, 0.9))
@settings(deadline=None)
def test_holdout(counts: list[int], fraction: float) -> None:
    labels = images_of(counts).y_train
    total = len(labels)
    try:
        train, held = holdout(labels, fraction)
    except DataError:
        n = round(fraction * total)
        assert fraction > 0
        assert n < 1 or all(count == 1 or n * count < total for count in counts)
        return
    assert torch.equal(torch.cat([train, held]).sort().values, torch.arange(total))
    assert train.tolist() == sorted(train.tolist()) and held.tolist() == sorted(held.tolist())
    assert train.dtype == held.dtype == torch.int64
    kept = torch.bincount(labels[train], minlength=len(counts))
    assert kept.min() >= 1
    share = round(fraction * total) / total
    out = torch.bincount(labels[held], minlength=len(counts)).tolist()
    assert all(abs(h - share * c) <= 1 + 1e-9 for h, c in zip(out, counts, strict=True))
    assert (len(held) == 0) == (fraction == 0)


def test_holdout_is_the_same_for_ever() -> None:
    labels = torch.arange(40) % 4
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert holdout(labels, 0.2)[1].tolist() == [2, 4, 6, 27, 31, 32, 33, 37]
    assert torch.equal(torch.get_rng_state(), before)


def test_holdout_does_not_follow_the_file_order() -> None:
    labels = torch.arange(5000) % 10
    held = holdout(labels, 0.1)[1].double()
    assert len(held) == 500
    # 500 places drawn from 0..4999: mean 2499.5, standard error 65.
    assert abs(held.mean() - 2499.5) < 200
    assert abs(held.diff().mean() - 10) < 0.2


@pytest.mark.parametrize("fraction", [-0.1, 0.91, 1.0, float("nan"), float("inf")])
def test_holdout_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(DataError, match=f"validation {fraction}: expected a fraction from 0 to"):
        holdout(torch.arange(10) % 2, fraction)


def test_holdout_of_too_few() -> None:
    with pytest.raises(DataError, match="holds out none"):
        holdout(torch.arange(10), 0.5)
