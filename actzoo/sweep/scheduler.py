"""Running the cells of one folder, in this process or wherever an executor runs them."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from actzoo.errors import ActzooError, StoreError
from actzoo.results.store import RESULT, Store
from actzoo.sweep.events import Event, Kind
from actzoo.sweep.prepare import Loaded
from actzoo.sweep.progress import LOOK_SECONDS, ends
from actzoo.sweep.worker import check_sources, work, work_apart
from actzoo.training.phases import Epoch
from actzoo.training.result import Reason
from actzoo.training.spec import CellSpec

Cells = list[tuple[int, CellSpec]]
Ends = Generator[tuple[CellSpec, Reason | None], None, None]
VISIBLE_SECONDS = 60.0
"""How long a shared folder may take to show here what another machine has written."""


@dataclass
class Sweep:
    """Runs cells of one folder, counting on from one call to the next.

    Attributes:
        store: The folder.
        loaded: The datasets.
        show: Called with an Event for everything that happens.
        executor: Where to run the cells; None for this process.
        retry_failed: Whether cells that failed before run again.
        fail_fast: Whether to stop at the first failure.
        total: How many cells there will be in all calls.
        tries: What a cell that tunes tries, by its key.
        expected: Names of errors that are no failures of cells that tune.
        seen: How many cells there were.
        failed: How many of them failed, now or before.
        kept_failed: How many had failed before and were not run again.
    """

    store: Store
    loaded: Loaded
    show: Callable[[Event], None]
    executor: Executor | None
    retry_failed: bool
    fail_fast: bool
    total: int
    tries: Mapping[str, str] = field(default_factory=dict)
    expected: Sequence[str] = ()
    seen: int = 0
    failed: int = 0
    kept_failed: int = 0

    def run(self, cells: Sequence[CellSpec]) -> bool:
        """Run the cells that are not done; False if it stopped at a failure."""
        numbered = enumerate(cells, start=self.seen + 1)
        open_cells = [(n, spec) for n, spec in numbered if not self._keep(n, spec)]
        self.seen += len(cells)
        done = self._here(open_cells) if self.executor is None else self._apart(open_cells)
        with closing(done):
            for spec, reason in done:
                if self._fails(spec, reason):
                    self.failed += 1
                    if self.fail_fast:
                        return False
        return True

    def _fails(self, spec: CellSpec, reason: Reason | None) -> bool:
        if reason is None:
            return False
        return spec.key not in self.tries or reason.error not in self.expected

    def _tell(self, kind: Kind, number: int, spec: CellSpec, **more: Any) -> None:
        tries = self.tries.get(spec.key, "")
        self.show(Event(kind, number, self.total, spec, tries=tries, **more))

    def _keep(self, number: int, spec: CellSpec) -> bool:
        """Show and keep a cell that is done, or that failed and is not to run again."""
        for line in self.store.examine(spec):
            self._tell("moved", number, spec, message=line)
        result = self.store.result(spec.key)
        if result is not None:
            self._tell("kept", number, spec, result=result)
            return True
        failure = None if self.retry_failed else self.store.error(spec.key)
        if failure is None:
            return False
        if self._fails(spec, failure.reason):
            self.failed += 1
            self.kept_failed += 1
        self._tell("failed", number, spec, message=f"{failure.reason} (failed before)")
        return True

    def _here(self, cells: Cells) -> Ends:
        """Run cells one after another; yields each with why it has no result, or None."""
        for number, spec in cells:
            self._tell("start", number, spec)

            def on_epoch(epoch: Epoch, number: int = number, spec: CellSpec = spec) -> None:
                self._tell("epoch", number, spec, epoch=epoch)

            def on_move(line: str, number: int = number, spec: CellSpec = spec) -> None:
                self._tell("moved", number, spec, message=line)

            given, advice = self.loaded.given, "its file changed while this run was going on"
            check_sources(spec, f"{advice}; run it again", given)
            reason = work(self.store, spec, self.loaded.values(spec), on_epoch, on_move)
            self._finished(number, spec, reason)
            yield spec, reason

    def _apart(self, cells: Cells) -> Ends:
        """Have the executor run cells; yields as `_here` does, as they end."""
        folder, root = str(self.store.folder.resolve()), str(self.loaded.root.resolve())
        futures: dict[Future[Reason | None], tuple[int, CellSpec]] = {}
        try:
            for number, spec in cells:
                futures[self._submitted(folder, spec, root)] = number, spec
            for future in ends(futures, self.store, self._tell):
                number, spec = futures[future]
                reason = self._answer(future, spec)
                self._finished(number, spec, reason)
                yield spec, reason
        finally:  # the executor itself belongs to whoever opened it
            for future in futures:
                future.cancel()

    def _submitted(self, folder: str, spec: CellSpec, root: str) -> Future[Reason | None]:
        assert self.executor is not None
        try:
            return self.executor.submit(work_apart, folder, spec.to_json(), root)
        except BrokenExecutor as error:  # a pool that died while it was still being filled
            broken: Future[Reason | None] = Future()
            broken.set_exception(error)
            return broken

    def _answer(self, future: Future[Reason | None], spec: CellSpec) -> Reason | None:
        """Return why a cell elsewhere has no result; None if it has one.

        Raises:
            ActzooError: A worker cannot do its part: no cell would be any better there.
        """
        try:
            reason = future.result()
        except ActzooError:
            raise
        except (BrokenExecutor, CancelledError) as error:  # no fault of the cell's
            said = str(error) or "cancelled"
            return Reason(
                "", f"not finished, its worker was lost ({said}); the same command goes on"
            )
        except Exception as error:
            if self.store.result(spec.key) is not None:  # it died after its work
                return None
            return self.store.fail(spec, error, traceback.format_exc()).reason
        if reason is None:
            self._await(spec)
        return reason

    def _await(self, spec: CellSpec) -> None:
        """Wait until the result that a worker has written can be seen here."""
        folder = self.store.cell(spec.key)
        end = time.monotonic() + VISIBLE_SECONDS
        # Listing the folder has a network file system look again.
        while not (folder.exists() and folder / RESULT in folder.iterdir()):
            if time.monotonic() >= end:
                raise StoreError(
                    f"a worker has finished the cell {spec.key}, but on {platform.node()} there "
                    f"is no {folder / RESULT}; workers and this machine must share the output "
                    f"folder under the same path"
                )
            time.sleep(LOOK_SECONDS)

    def _finished(self, number: int, spec: CellSpec, reason: Reason | None) -> None:
        if reason is not None:
            self._tell("failed", number, spec, message=str(reason))
        else:
            self._tell("done", number, spec, result=self.store.result(spec.key))
