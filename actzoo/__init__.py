"""actzoo: a zoo of activation functions, learnable mixtures of them, and fair comparisons.

Names are imported when they are first used (PEP 562), so that `import actzoo` is quick and
the command line can show its help without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actzoo.activation import Activation as Activation
    from actzoo.activation import Claims as Claims
    from actzoo.errors import ActzooError as ActzooError
    from actzoo.errors import DeclarationError as DeclarationError
    from actzoo.fusing import fuse as fuse
    from actzoo.fusing import unfuse as unfuse
    from actzoo.hookspecs import hookimpl as hookimpl
    from actzoo.mixture import RATIO as RATIO
    from actzoo.mixture import SOFTMAX as SOFTMAX
    from actzoo.mixture import Mixture as Mixture
    from actzoo.registry import get as get
    from actzoo.registry import names as names
    from actzoo.sweep.bench import bench as bench
    from actzoo.values import ActivationSet as ActivationSet
    from actzoo.values import Dataset as Dataset
    from actzoo.values import Images as Images
    from actzoo.values import Network as Network
    from actzoo.values import PoolOptions as PoolOptions
    from actzoo.values import WorkerPool as WorkerPool

__version__ = "0.1.0"

_HOME = {
    "Activation": "actzoo.activation",
    "Claims": "actzoo.activation",
    "ActzooError": "actzoo.errors",
    "DeclarationError": "actzoo.errors",
    "fuse": "actzoo.fusing",
    "unfuse": "actzoo.fusing",
    "hookimpl": "actzoo.hookspecs",
    "RATIO": "actzoo.mixture",
    "SOFTMAX": "actzoo.mixture",
    "Mixture": "actzoo.mixture",
    "get": "actzoo.registry",
    "names": "actzoo.registry",
    "bench": "actzoo.sweep.bench",
    "ActivationSet": "actzoo.values",
    "Dataset": "actzoo.values",
    "Images": "actzoo.values",
    "Network": "actzoo.values",
    "PoolOptions": "actzoo.values",
    "WorkerPool": "actzoo.values",
}

__all__ = [
    "RATIO",
    "SOFTMAX",
    "Activation",
    "ActivationSet",
    "ActzooError",
    "Claims",
    "Dataset",
    "DeclarationError",
    "Images",
    "Mixture",
    "Network",
    "PoolOptions",
    "WorkerPool",
    "__version__",
    "bench",
    "fuse",
    "get",
    "hookimpl",
    "names",
    "unfuse",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'actzoo' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
