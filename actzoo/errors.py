"""Every exception that actzoo raises on purpose.

    ActzooError
     ├─ UsageError            what the user asked for does not make sense
     │   ├─ UnknownNameError  no activation, dataset, model ... of that name
     │   ├─ NameClashError    two distributions provide that name
     │   ├─ FormulaError      a formula text that cannot be read
     │   ├─ KernelError       a kernel asked for by name that cannot run here
     │   └─ DataError         a dataset that is missing, truncated or mislabelled
     ├─ DeclarationError      an Activation, Dataset or Model that contradicts itself
     ├─ MixtureError          weights outside w >= 0, not finite, or all of them 0
     ├─ DivergedError         a loss that is no longer finite
     ├─ TuningError           tuning that did not come to its end
     └─ StoreError            an output folder that cannot be used as it is

The command line turns MixtureError, DivergedError and TuningError into exit code 1 and the
others into 2; none of them shows a traceback there.
"""


class ActzooError(Exception):
    """Base of all errors that actzoo raises on purpose.

    Args:
        args: The message; of a message of several lines each line.
    """

    def __str__(self) -> str:
        """The lines of the message."""
        return "\n".join(map(str, self.args))


class UsageError(ActzooError):
    """What was asked for does not make sense; the message says what would."""


class UnknownNameError(UsageError):
    """No activation, dataset, model ... goes by the name that was given."""


class NameClashError(UsageError):
    """Two distributions provide the name that was asked for."""


class FormulaError(UsageError):
    """A formula text that cannot be read; the message points at the place."""


class KernelError(UsageError):
    """A kernel that was asked for by name and cannot run here; says why, and what can."""


class DataError(UsageError):
    """A dataset that is missing, truncated, mislabelled or of no known shape."""


class DeclarationError(ActzooError):
    """A declared value (activation, dataset, model, phase) that contradicts itself."""


class MixtureError(ActzooError):
    """Mixture weights that left w >= 0 or are not finite, or of which none is left above 0."""


class DivergedError(ActzooError):
    """A loss that is no longer finite; carries where it happened."""


class TuningError(ActzooError):
    """Tuning that did not come to its end: nothing was chosen; the next run goes on with it."""


class StoreError(ActzooError):
    """An output folder that cannot be used as it is; nothing in it was changed."""
