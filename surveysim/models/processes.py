"""Work on one model spread over the processes of joblib's active backend, each of which loads the model once."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import joblib
import torch
from joblib._parallel_backends import LokyBackend, MultiprocessingBackend
from joblib.parallel import get_active_backend

from surveysim.errors import warn
from surveysim.models.loaded import LoadedModel
from surveysim.models.registry import load_model

__all__ = ["ModelAddress", "n_processes", "spread"]

Item = TypeVar("Item")
Result = TypeVar("Result")
_Call: TypeAlias = tuple[Any, ...]

ATTEMPTS = 3
"""How often an item is given out whose worker died; one that kills every worker must come to an end."""


@dataclass(frozen=True)
class ModelAddress:
    """Where another process finds the same model.

    Attributes
    ----------
    name : str
        As `LoadedModel.name`; folders must be reachable by the same path from every machine.
    revision : str or None
    fingerprint : str
        What the other process must find.
    dtype : str
        The number type in which it is loaded here, so that results are alike.
    device : str
        As the user named it: ``"auto"`` is each machine's own.
    local_files_only : bool
        Never download.
    """

    name: str
    revision: str | None
    fingerprint: str
    dtype: str
    device: str = "auto"
    local_files_only: bool = False

    @classmethod
    def of(cls, model: LoadedModel, *, device: Any = "auto", local_files_only: bool = False) -> ModelAddress:
        """The address of a model that is loaded here."""
        dtype = str(model.dtype).removeprefix("torch.")
        return cls(model.name, model.revision, model.fingerprint, dtype, str(device), local_files_only)

    def load(self) -> LoadedModel:
        """The model in this process; loaded when first asked for.

        Raises
        ------
        ValueError
            If other weights are found under its name.
        """
        model = load_model(
            self.name,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            local_files_only=self.local_files_only,
        )
        if model.fingerprint != self.fingerprint:
            raise ValueError(
                f"a worker found other weights under {self.name!r}: fingerprint {model.fingerprint[:12]}, where the "
                f"work comes from it is {self.fingerprint[:12]}. Give all machines the same files, or a revision"
            )
        return model


def n_processes(device: torch.device) -> int:
    """How many processes joblib's active configuration offers for a model on `device`; 1: this one alone.

    Threads do not count: they share the one loaded model, which runs one pass at a time. Nor do processes of this
    machine beside a model on a graphics card, of which each would load a copy of its own. Within a worker it is 1, so
    that what is spread already (cross-validation, say) is not spread again.
    """
    backend, n_jobs = get_active_backend()
    if getattr(backend, "supports_sharedmem", False) or getattr(backend, "nesting_level", None):
        return 1
    if device.type != "cpu" and isinstance(backend, LokyBackend | MultiprocessingBackend):
        return 1
    if _within_dask_worker():
        return 1
    return max(1, int(backend.effective_n_jobs(1 if n_jobs is None else n_jobs)))


def spread(
    function: Callable[..., Result], items: Sequence[Item], address: ModelAddress, *args: Any
) -> Generator[tuple[int, Result], None, None]:
    """``function(model, item, *args)`` for each item, in the processes of joblib's active backend, as they finish.

    With ``joblib.parallel_config(backend="dask")`` the workers of a Dask cluster, with ``backend="loky", n_jobs=4``
    four processes of this machine. A worker that dies costs the items it was working on: they are given out again, up
    to `ATTEMPTS` times.

    Parameters
    ----------
    function : callable
        Importable by its name, so that other processes find it; results must be picklable. It is called under no lock.
    items : sequence
        Small pieces of work, several for each process, so that all stay busy.
    address : ModelAddress
        Of the model; do not hold its lock here, since workers may be threads of this process.
    *args
        Further arguments, the same for all items.

    Yields
    ------
    index : int
        The item's position; items come in the order in which they are finished.
    result : object

    Raises
    ------
    RuntimeError
        If workers keep dying over the same items.
    Exception
        Whatever `function` raises.
    """
    left = dict(enumerate(items))
    for attempt in range(ATTEMPTS):
        backend, n_jobs = get_active_backend()
        calls = [(function, address, index, item, args) for index, item in left.items()]
        run = _on_cluster if hasattr(backend, "client") and hasattr(backend, "submit_kwargs") else _by_joblib
        try:
            with closing(run(calls, backend, n_jobs)) as results:
                for index, result in results:
                    del left[index]
                    yield index, result
            return
        except Exception as error:
            if not _worker_died(error):
                raise
            if attempt == ATTEMPTS - 1:
                raise RuntimeError(
                    f"workers died {ATTEMPTS} times over the same {len(left)} of {len(items)} pieces of work; the last "
                    f"time: {type(error).__name__}: {error}. They may be short of memory"
                ) from error
            warn(f"a worker died ({type(error).__name__}): {len(left)} of {len(items)} pieces of work are repeated")


def _by_joblib(calls: list[_Call], backend: Any, n_jobs: int | None) -> Generator[tuple[int, Any], None, None]:
    generates = bool(getattr(backend, "supports_return_generator", False))
    parallel = joblib.Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator_unordered" if generates else "list")
    results = parallel(joblib.delayed(_call)(*call) for call in calls)
    try:
        for result in results:  # noqa: UP028 - `yield from` would close them itself, before what follows
            yield result
    finally:
        if generates:
            with warnings.catch_warnings():
                # Who stops halfway (an error, Ctrl-C) need not be told that it would have been better not to begin.
                warnings.simplefilter("ignore", UserWarning)
                results.close()


def _on_cluster(calls: list[_Call], backend: Any, n_jobs: int | None) -> Generator[tuple[int, Any], None, None]:
    """With the client of joblib's Dask backend, and without the rest of that backend (joblib 1.6).

    There a task that fails outside of its function (every worker that got it died, or the workers lack a package) is
    never reported, and the caller waits for ever.
    """
    from distributed import KilledWorker, as_completed

    client = backend.client
    waiting = calls[::-1]
    pending: set[Any] = set()
    finished = as_completed(loop=client.loop)
    killed: KilledWorker | None = None
    try:
        while waiting or pending:
            # Two for each worker, as joblib does: results that are not fetched fill the workers' memory.
            while waiting and len(pending) < 2 * max(1, sum(client.ncores().values())):
                future = client.submit(_call, *waiting.pop(), pure=False, **backend.submit_kwargs)
                pending.add(future)
                finished.add(future)
            future = next(finished)
            pending.discard(future)
            try:
                result = future.result()
            except KilledWorker as error:  # the cluster tried it on several workers; first what else there is
                killed = error
                continue
            yield result
    finally:
        client.cancel(list(pending))
    if killed is not None:
        raise killed


def _call(
    function: Callable[..., Result], address: ModelAddress, index: int, item: Any, args: tuple[object, ...]
) -> tuple[int, Result]:
    return index, function(address.load(), item, *args)


def _worker_died(error: BaseException) -> bool:
    """Whether an error tells of a lost process and not of the work: loky's, or the cluster's own."""
    return isinstance(error, BrokenExecutor) or type(error).__module__.partition(".")[0] == "distributed"


def _within_dask_worker() -> bool:
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True
