"""What ties an optimiser to a mixture."""

from __future__ import annotations

from torch.utils.hooks import RemovableHandle


class Attachment:
    """An optimiser's tie to a mixture; `remove()` ends it."""

    def __init__(self, *handles: RemovableHandle) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Project no more."""
        for handle in self._handles:
            handle.remove()
