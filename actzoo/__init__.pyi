"""The public names and where they live: `__init__.py` and type checkers read this file."""

from actzoo.activation import Activation as Activation
from actzoo.activation import Claims as Claims
from actzoo.errors import ActzooError as ActzooError
from actzoo.errors import DataError as DataError
from actzoo.errors import DeclarationError as DeclarationError
from actzoo.mixture import Mixture as Mixture
from actzoo.mixture.fuse import fuse as fuse
from actzoo.mixture.fuse import unfuse as unfuse
from actzoo.mixture.others import register_into as register_into
from actzoo.mixture.phase import phase as phase
from actzoo.mixture.plot import plot as plot
from actzoo.mixture.prune import Pruned as Pruned
from actzoo.mixture.watch import Watch as Watch
from actzoo.models.model import ActivationFactory as ActivationFactory
from actzoo.models.model import Model as Model
from actzoo.models.model import Network as Network
from actzoo.plugins.hooks import hookimpl as hookimpl
from actzoo.plugins.registry import get as get
from actzoo.plugins.registry import names as names
from actzoo.rules import RATIO as RATIO
from actzoo.rules import SOFTMAX as SOFTMAX
from actzoo.rules import Rule as Rule
from actzoo.surgery.surgeon import Replaced as Replaced
from actzoo.surgery.swap import Missed as Missed
from actzoo.surgery.swap import Swap as Swap
from actzoo.surgery.swap import swap as swap
from actzoo.sweep.bench import bench as bench
from actzoo.tasks.images import Images as Images
from actzoo.tasks.objective import CLASSIFICATION as CLASSIFICATION
from actzoo.tasks.objective import NEXT_TOKEN as NEXT_TOKEN
from actzoo.tasks.objective import REGRESSION as REGRESSION
from actzoo.tasks.objective import Metric as Metric
from actzoo.tasks.objective import Objective as Objective
from actzoo.tasks.objective import objective as objective
from actzoo.tasks.task import Dataset as Dataset
from actzoo.tasks.task import Examples as Examples
from actzoo.tasks.task import Task as Task
from actzoo.tasks.task import standardised as standardised
from actzoo.values import ActivationSet as ActivationSet
from actzoo.values import ExecutorOptions as ExecutorOptions
from actzoo.values import ExecutorPlugin as ExecutorPlugin
from actzoo.values import PoolOptions as PoolOptions
from actzoo.values import Suite as Suite
from actzoo.values import WorkerPool as WorkerPool

__version__: str
