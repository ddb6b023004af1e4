"""A cell trains under its own settings, whatever a script or a plugin has set, and restores."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import actzoo
from actzoo.errors import DivergedError
from actzoo.isolation import SETTINGS
from actzoo.kernels import measured
from actzoo.kernels.table import native
from actzoo.training.protocol import PAPER
from actzoo.training.seeding import seeded
from tests.training.running import run_cell

BACKENDS = torch.backends


def switch(read: Callable[[], Any], write: Callable[[Any], Any], value: Any) -> Callable[[], Any]:
    """What a script does: sets a value, and undoes it where the test ends."""

    @contextmanager
    def switched() -> Iterator[None]:
        before = read()
        write(value)
        assert read() == value
        try:
            yield
        finally:
            write(before)

    return switched


def attribute(owner: Any, name: str, value: Any) -> Callable[[], Any]:
    return switch(lambda: getattr(owner, name), lambda v: setattr(owner, name, v), value)


def deterministic(warn_only: bool) -> Callable[[], Any]:
    return switch(
        torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, 1 + (not warn_only)
    )


@contextmanager
def flushing() -> Iterator[None]:
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def autocast_set(kind: str) -> Iterator[None]:
    torch.set_autocast_enabled(kind, True)
    try:
        yield
    finally:
        torch.set_autocast_enabled(kind, False)


def seeds() -> Any:
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    return ExitStack()


@contextmanager
def hooked(register: Callable[..., Any], hook: Callable[..., Any]) -> Iterator[None]:
    handle = register(hook)
    try:
        yield
    finally:
        handle.remove()


LAYERS = torch.nn.modules.module
ATTENTION = BACKENDS.cuda
FOREIGN: dict[str, Callable[[], Any]] = {
    "nothing": ExitStack,
    "dtype float64": switch(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "dtype bfloat16": switch(torch.get_default_dtype, torch.set_default_dtype, torch.bfloat16),
    "default device": default_device,
    "device block": lambda: torch.device("meta"),
    "autocast block": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast cpu": lambda: autocast_set("cpu"),
    "autocast cuda": lambda: autocast_set("cuda"),
    "autocast mps": lambda: autocast_set("mps"),
    "autocast dtype": switch(
        lambda: torch.get_autocast_dtype("cpu"),
        lambda v: torch.set_autocast_dtype("cpu", v),
        torch.float16,
    ),
    "deterministic": deterministic(warn_only=False),
    "deterministic, warns": deterministic(warn_only=True),
    "no gradients": torch.no_grad,
    "gradients off": lambda: torch.set_grad_enabled(False),
    "inference mode": torch.inference_mode,
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "denormals": flushing,
    "seeds": seeds,
    "hook of layers": lambda: hooked(
        LAYERS.register_module_forward_hook, lambda _module, _args, y: 0.5 * y
    ),
    "hook of parameters": lambda: hooked(
        LAYERS.register_module_parameter_registration_hook,
        lambda _module, _name, p: p if p is None else torch.nn.Parameter(2 * p.detach()),
    ),
    "matmul high": switch(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "high"
    ),
    "matmul medium": switch(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"
    ),
    "fp32 of all": attribute(BACKENDS, "fp32_precision", "tf32"),
    "fp32 of cuda": attribute(BACKENDS.cudnn, "fp32_precision", "ieee"),
    **{
        f"fp32 of {name}": attribute(owner, "fp32_precision", value)
        for name, owner, value in (
            ("mkldnn matmul", BACKENDS.mkldnn.matmul, "bf16"),
            ("mkldnn conv", BACKENDS.mkldnn.conv, "bf16"),
            ("mkldnn rnn", BACKENDS.mkldnn.rnn, "bf16"),
            ("cudnn conv", BACKENDS.cudnn.conv, "ieee"),
            ("cudnn rnn", BACKENDS.cudnn.rnn, "ieee"),
        )
    },
    "fp32 of cuda matmul": attribute(BACKENDS.cuda.matmul, "fp32_precision", "tf32"),
    "tf32 in matmul": attribute(BACKENDS.cuda.matmul, "allow_tf32", True),
    "no tf32 in cudnn": attribute(BACKENDS.cudnn, "allow_tf32", False),
    "no cudnn": attribute(BACKENDS.cudnn, "enabled", False),
    "cudnn benchmark": attribute(BACKENDS.cudnn, "benchmark", True),
    "cudnn deterministic": attribute(BACKENDS.cudnn, "deterministic", True),
    "no mkldnn": attribute(BACKENDS.mkldnn, "enabled", False),
    "mkldnn deterministic": attribute(BACKENDS.mkldnn, "deterministic", True),
    **{
        name: attribute(BACKENDS.cuda.matmul, name, value)
        for name, value in (
            ("allow_fp16_accumulation", True),
            ("allow_fp16_reduced_precision_reduction", False),
            ("allow_bf16_reduced_precision_reduction", False),
        )
    },
    "no flash attention": switch(ATTENTION.flash_sdp_enabled, ATTENTION.enable_flash_sdp, False),
    "no lean attention": switch(
        ATTENTION.mem_efficient_sdp_enabled, ATTENTION.enable_mem_efficient_sdp, False
    ),
    "no plain attention": switch(ATTENTION.math_sdp_enabled, ATTENTION.enable_math_sdp, False),
    "no cudnn attention": switch(ATTENTION.cudnn_sdp_enabled, ATTENTION.enable_cudnn_sdp, False),
    "no fast path": switch(
        BACKENDS.mha.get_fastpath_enabled, BACKENDS.mha.set_fastpath_enabled, False
    ),
    "threads": switch(torch.get_num_threads, torch.set_num_threads, 3),
    "numpy's errors": lambda: np.errstate(all="raise"),
}
"""What scripts and plugins do to the process, in torch's own words."""


def _asked(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except RuntimeError:  # torch refuses to say: two ways of setting it contradict
        return "refused"


def state() -> dict[str, Any]:
    """All that can be asked of the settings and generators, apart from how they are kept."""
    return {
        "fp32 of parts": [
            owner.fp32_precision
            for owner in (
                BACKENDS.mkldnn.matmul,
                BACKENDS.mkldnn.conv,
                BACKENDS.mkldnn.rnn,
                BACKENDS.cudnn.conv,
                BACKENDS.cudnn.rnn,
            )
        ],
        "fp32": BACKENDS.fp32_precision,
        "fp32 of cuda": BACKENDS.cudnn.fp32_precision,
        "fp32 of mkldnn": BACKENDS.mkldnn.fp32_precision,
        "fp32 of matmul": BACKENDS.cuda.matmul.fp32_precision,
        "matmul": _asked(torch.get_float32_matmul_precision),
        "tf32": _asked(lambda: BACKENDS.cuda.matmul.allow_tf32),
        "cudnn tf32": _asked(lambda: BACKENDS.cudnn.allow_tf32),
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device,
        "deterministic": torch.get_deterministic_debug_mode(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "anomalies": torch.is_anomaly_enabled(),
        "autocast": [
            (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
            for kind in ("cpu", "cuda", "mps")
        ],
        "denormals": float(torch.full((1,), 1e-38, device="cpu", dtype=torch.float32) / 4),
        "others": [(name, s.get()) for name, s in SETTINGS.items() if name != "float32 rounding"],
        "threads": torch.get_num_threads(),
        "numpy": np.geterr(),
        "generators": (
            torch.get_rng_state().tolist(),
            random.getstate(),
            np.random.get_state()[1].tolist(),
        ),
    }


def cell_of(tiny_cell: Any, **options: Any) -> Any:
    short = tuple(replace(phase, epochs=1) for phase in PAPER)
    return tiny_cell("rrelu", "tanh", protocol=short, model="paper_cnn", **options)


@pytest.fixture(scope="module")
def undisturbed(tiny_images, timeless) -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("kernel", ["reference", "auto"])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_cell_is_the_same_under_any_settings(
    name, kernel, tiny_cell, tiny_images, timeless, undisturbed
):
    cell = cell_of(tiny_cell, kernel=kernel)
    if kernel not in undisturbed:
        undisturbed[kernel] = timeless(run_cell(cell, tiny_images))
    with FOREIGN[name]():
        before = state()
        result = run_cell(cell, tiny_images)
        assert state() == before
        seen = timeless(result)
    assert seen == undisturbed[kernel]


@pytest.mark.parametrize("name", FOREIGN)
def test_settings_come_back_when_a_cell_fails(name, tiny_cell, tiny_images):
    cell = tiny_cell("exp(99*x*x)")
    with FOREIGN[name]():
        before = state()
        with pytest.raises(DivergedError):
            run_cell(cell, tiny_images)
        assert state() == before


def test_every_setting_that_is_kept_is_one_that_these_tests_change():
    changed = set()
    for foreign in FOREIGN.values():
        before = {name: setting.get() for name, setting in SETTINGS.items()}
        with foreign():
            changed |= {n for n, setting in SETTINGS.items() if setting.get() != before[n]}
    assert changed == set(SETTINGS)


def test_two_settings_that_contradict_come_back_too(tiny_cell, tiny_images):
    with FOREIGN["matmul medium"](), FOREIGN["fp32 of mkldnn matmul"](), FOREIGN["fp32 of all"]():
        before = state()
        run_cell(tiny_cell("relu"), tiny_images)
        assert state() == before


DISTURBING = """
    import random

    import numpy as np
    import torch

    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    torch.backends.mkldnn.enabled = False
    torch.manual_seed(0)


    def own(x):
        return x.tanh() + 0.1 * torch.rand_like(x) + 0.1 * random.random() + 0.1 * np.random.rand()
"""


@pytest.fixture
def file_of_a_stranger(tmp_path) -> Iterator[str]:
    path = tmp_path / "stranger.py"
    path.write_text(textwrap.dedent(DISTURBING))
    try:
        yield f"{path}:own"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.use_deterministic_algorithms(False)
        torch.backends.mkldnn.enabled = True


def test_what_a_module_sets_and_draws_does_not_matter(
    file_of_a_stranger, tiny_cell, tiny_images, timeless
):
    """It is imported by the first cell only, and draws in evaluation too."""
    cell = tiny_cell(file_of_a_stranger, "relu")
    first = timeless(run_cell(cell, tiny_images))
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    assert timeless(run_cell(cell, tiny_images)) == first


@pytest.mark.parametrize(
    "name",
    ["dtype float64", "default device", "device block", "autocast block", "inference mode",
     "deterministic", "no gradients", "matmul medium", "seeds"],
)  # fmt: skip
def test_a_whole_run_is_the_same_under_any_settings(name, tiny_npz, tmp_path):
    def accuracies(out):
        results = actzoo.bench(
            ["relu,tanh", "x*sigmoid(x)"], datasets=[f"npz:{tiny_npz}"], models=["mlp(depth=1)"],
            seeds=[0], epochs=1, device="cpu", out=tmp_path / out,
        )  # fmt: skip
        found = {}
        for path in sorted((tmp_path / out / "cells").glob("*/predictions.npz")):
            with np.load(path) as file:
                found[path.parent.name] = {name: file[name].tobytes() for name in file.files}
        assert results.failed == 0
        return found

    plain = accuracies("plain")
    with FOREIGN[name]():
        before = state()
        assert accuracies("foreign") == plain
        assert state() == before
    assert len(plain) == 4


def test_the_generator_of_every_device_here_is_seeded_and_put_back():
    devices = [torch.device("cpu")]
    if torch.cuda.is_available():
        devices.append(torch.device("cuda", 0))
    if torch.backends.mps.is_available():
        devices.append(torch.device("mps"))
    for device in devices:
        untouched = [torch.rand(3, device=device) for _ in range(1)]
        with seeded(3, device):
            first = torch.rand(3, device=device)
        with seeded(3, device):
            torch.rand(1, device=device)
        with seeded(3, device):
            assert torch.equal(torch.rand(3, device=device), first)
        assert not torch.equal(untouched[0], first)


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_a_device_that_is_not_here_is_seeded_by_its_own_module(kind, monkeypatch):
    """With a CPU generator in place of the device's, as there is none of it on this machine."""
    its = torch.Generator().manual_seed(11)
    module = torch.get_device_module(kind)
    monkeypatch.setattr(module, "get_rng_state", lambda device=kind: its.get_state())
    monkeypatch.setattr(module, "set_rng_state", lambda state, device=kind: its.set_state(state))
    monkeypatch.setattr(module, "manual_seed", its.manual_seed)
    if hasattr(module, "device"):
        monkeypatch.setattr(module, "device", lambda device: ExitStack())
    before = its.get_state()
    with seeded(3, torch.device(kind)):
        assert torch.equal(torch.rand(3, generator=its), torch.rand(3, generator=_at(3)))
    assert torch.equal(its.get_state(), before)


def _at(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_auto_in_a_cell_is_a_rule_and_no_measurement(tiny_cell, tiny_images, timeless, monkeypatch):
    library = native.load()
    if library is None:
        pytest.skip(native.absent())

    def timed(*_: Any) -> None:
        raise AssertionError("a cell depends on its spec and machine alone")

    monkeypatch.setattr(measured, "timed", timed)
    library.use("portable")
    try:
        for members in (("relu", "tanh"), ("silu",)):
            ruled = run_cell(tiny_cell(*members, kernel="auto"), tiny_images)
            assert ruled.result.kernel == "table"
    finally:
        library.use(None)
