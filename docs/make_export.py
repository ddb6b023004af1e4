"""Writes docs/export.md, what can be exported how: `python docs/make_export.py`.

All functions are exported in one model, which is halved until what fails is found. `--check` says
whether the page is what would be written now, and writes nothing.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import actzoo

PAGE = Path(__file__).parent / "export.md"
CHANNELS = 6
MEMBERS = ["relu", "tanh", "sin", "swish"]

Run = Callable[[Tensor], Sequence[Tensor]]


class All(nn.Module):
    """Several layers of one input."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Each layer's output."""
        return [layer(x) for layer in self.layers]


def by_onnx(model: nn.Module, x: Tensor) -> Run:
    """Exported by torch's exporter, run by onnxruntime."""
    import onnxruntime

    program: Any = torch.onnx.export(model, (x,), dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    name = session.get_inputs()[0].name
    return lambda x: [torch.from_numpy(y) for y in session.run(None, {name: x.numpy()})]


def by_export(model: nn.Module, x: Tensor) -> Run:
    """The program of torch.export."""
    module: Any = torch.export.export(model, (x,)).module()
    return module  # type: ignore[no-any-return]


def by_compile(model: nn.Module, x: Tensor) -> Run:
    """Captured whole by torch.compile."""
    torch._dynamo.reset()
    compiled: Any = torch.compile(model, backend="eager", fullgraph=True)
    return compiled  # type: ignore[no-any-return]


def by_trace(model: nn.Module, x: Tensor) -> Run:
    """Traced by torch.jit.trace."""
    traced: Any = torch.jit.trace(model, (x,), check_trace=False, strict=False)
    return traced  # type: ignore[no-any-return]


WAYS = {"ONNX": by_onnx, "torch.export": by_export, "torch.compile": by_compile,
        "torch.jit.trace": by_trace}  # fmt: skip


def subjects() -> dict[str, nn.Module]:
    """Mixtures, and a layer of each function that comes with actzoo."""
    found: dict[str, nn.Module] = {
        "Mixture": actzoo.Mixture(MEMBERS),
        "Mixture, rule softmax": actzoo.Mixture(MEMBERS, rule=actzoo.SOFTMAX),
        "Mixture, weights per channel": actzoo.Mixture(MEMBERS, scope="channel", channels=CHANNELS),
    }
    frozen = actzoo.Mixture(MEMBERS)
    frozen.freeze()
    found["Mixture, frozen"] = frozen
    from actzoo.plugins.registry import default

    for activation, origin in default().activations.entries:
        if origin.distribution == "actzoo":
            found[activation.name] = activation.module(CHANNELS)
    return {name: layer.eval() for name, layer in found.items()}


def works(way: Any, layers: Sequence[nn.Module]) -> list[bool]:
    """Whether each layer computes the same after a way."""
    torch.manual_seed(0)
    x, other = torch.randn(5, CHANNELS), torch.randn(5, CHANNELS)
    model = All(layers)
    try:
        with torch.no_grad():
            run = way(model, x)
            found = list(zip(run(other), model(other), strict=True))
        return [torch.allclose(a, b, atol=1e-5, rtol=1e-5, equal_nan=True) for a, b in found]
    except Exception:  # whatever a tool of torch raises for what it cannot do
        if len(layers) == 1:
            return [False]
    half = len(layers) // 2
    return works(way, layers[:half]) + works(way, layers[half:])


def table(chosen: dict[str, nn.Module]) -> dict[str, list[bool]]:
    """For each subject whether each way works."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            columns = [works(way, list(chosen.values())) for way in WAYS.values()]
    finally:
        logging.disable(logging.NOTSET)
    return dict(zip(chosen, map(list, zip(*columns, strict=True)), strict=True))


def row(name: str, cells: Sequence[bool]) -> str:
    """A row of the table."""
    return f"| {name} | " + " | ".join("yes" if cell else "no" for cell in cells) + " |"


def page() -> str:
    """The whole page."""
    found = table(subjects())
    counts = [sum(cells[n] for cells in found.values()) for n in range(len(WAYS))]
    summary = ", ".join(f"{way} {count}" for way, count in zip(WAYS, counts, strict=True))
    rows = [row(name, cells) for name, cells in found.items()]
    return "\n".join(
        [
            "# What can be exported",
            "",
            "Written by `python docs/make_export.py`; the tests say when it is old. Yes: what was",
            "exported computes the same as the layer in evaluation mode, within 1e-5 in float32",
            "(ONNX by torch's exporter and onnxruntime; torch.compile captures it as one graph).",
            "A swapped network exports as its layers do.",
            "",
            f"Of {len(found)}: {summary}.",
            "",
            f"| | {' | '.join(WAYS)} |",
            f"| --- |{' --- |' * len(WAYS)}",
            *rows,
            "",
        ]
    )


def main() -> int:
    """Write the page, or say whether it is old."""
    text = page()
    if "--check" in sys.argv:
        is_old = PAGE.read_text(encoding="utf-8") != text
        print("docs/export.md is old" if is_old else "docs/export.md is right")
        return int(is_old)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
