"""The public names and where they live: `__init__.py` and type checkers read this file."""

from actzoo.activation import Activation as Activation
from actzoo.activation import Claims as Claims
from actzoo.errors import ActzooError as ActzooError
from actzoo.errors import DeclarationError as DeclarationError
from actzoo.mixture import RATIO as RATIO
from actzoo.mixture import SOFTMAX as SOFTMAX
from actzoo.mixture import Mixture as Mixture
from actzoo.mixture.fuse import fuse as fuse
from actzoo.mixture.fuse import unfuse as unfuse
from actzoo.mixture.others import register_into as register_into
from actzoo.mixture.phase import phase as phase
from actzoo.mixture.plot import plot as plot
from actzoo.mixture.prune import Pruned as Pruned
from actzoo.mixture.surgeon import Replaced as Replaced
from actzoo.mixture.swap import Missed as Missed
from actzoo.mixture.swap import Swap as Swap
from actzoo.mixture.swap import swap as swap
from actzoo.mixture.watch import Watch as Watch
from actzoo.plugins.hooks import hookimpl as hookimpl
from actzoo.plugins.registry import get as get
from actzoo.plugins.registry import names as names
from actzoo.sweep.bench import bench as bench
from actzoo.values import ActivationSet as ActivationSet
from actzoo.values import Dataset as Dataset
from actzoo.values import Images as Images
from actzoo.values import Network as Network
from actzoo.values import PoolOptions as PoolOptions
from actzoo.values import WorkerPool as WorkerPool

__version__: str
