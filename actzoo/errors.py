"""The exceptions that actzoo raises on purpose.

    ActzooError
     ├─ UsageError            a request that makes no sense
     │   ├─ UnknownNameError  no activation, dataset, model ... has that name
     │   ├─ NameClashError    two distributions provide that name
     │   ├─ FormulaError      a formula text that cannot be read
     │   ├─ KernelError       a requested kernel that cannot run here
     │   └─ DataError         a dataset that is missing, truncated or mislabelled
     ├─ DeclarationError      an Activation, Dataset or Model that contradicts itself
     ├─ MixtureError          weights outside w >= 0, not finite, or all of them 0
     ├─ DivergedError         a loss that is no longer finite
     ├─ TuningError           tuning that did not finish
     ├─ NotRunError           a claim that lacks the cells to measure it
     └─ StoreError            an output folder that cannot be used

The command line turns MixtureError, DivergedError and TuningError into exit code 1 and the
others into 2, without a traceback.
"""


class ActzooError(Exception):
    """Base of all errors that actzoo raises on purpose.

    Args:
        args: The message, or the lines of a longer message.
    """

    def __str__(self) -> str:
        """Return the message with its lines joined."""
        return "\n".join(map(str, self.args))


class UsageError(ActzooError):
    """A request that makes no sense; the message says what to do instead."""


class UnknownNameError(UsageError):
    """A name that no activation, dataset, model ... has."""


class NameClashError(UsageError):
    """A name that two distributions provide."""


class FormulaError(UsageError):
    """A formula text that cannot be read; the message points at the error."""


class KernelError(UsageError):
    """A kernel that was requested by name and cannot run here; the message says why."""


class DataError(UsageError):
    """A dataset that is missing, truncated, mislabelled or of an unknown shape."""


class DeclarationError(ActzooError):
    """A declared value (activation, dataset, model, phase) that contradicts itself."""


class MixtureError(ActzooError):
    """Mixture weights that are negative, not finite, or all 0."""


class DivergedError(ActzooError):
    """A loss that is no longer finite, with the place where it happened."""


class TuningError(ActzooError):
    """Tuning that did not finish and chose nothing; the next run continues it."""


class NotRunError(ActzooError):
    """A claim of a paper that cannot be measured; the message says which cells are missing."""


class StoreError(ActzooError):
    """An output folder that cannot be used; nothing in it was changed."""
