"""Work parted over several workers or machines, each with a model of its own (extra `ray`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from sam3i_agent.core.errors import ModelError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.segmodel.sharing.ray_cluster import start_ray

Row = dict[str, Any]


def map_with_ray(
    rows: Sequence[Row], worker: type[Any], settings: Any, model: ModelChoice, workers: int
) -> Iterator[Row]:
    """Give each row to one of `workers` Ray workers, and yield what they return as it is done.

    Joins the cluster that `RAY_ADDRESS` names, or starts Ray on this machine. The rows of a machine
    that is lost go to the others, and each comes back once.

    Args:
        rows: plain values.
        worker: a class, made once per worker with `settings` and called with a row; returns one.
        settings: what each worker is made of; is pickled.
        model: that the workers load; a device that is neither auto nor cpu asks for a GPU each.
        workers: how many.

    Raises:
        ModelError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ModelError(
            "--workers needs Ray", "install the extra: pip install 'sam3i-agent[ray]'"
        ) from error
    if not ray.is_initialized():
        start_ray()
    ray.data.DataContext.get_current().enable_progress_bars = False  # the command draws its own
    on_gpu = model.device not in ("auto", "cpu")
    answered = ray.data.from_items(list(rows)).map(
        worker,
        fn_constructor_args=(settings,),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=_cores_each(workers),
        num_gpus=1 if on_gpu else 0,
        scheduling_strategy="SPREAD",
    )
    yield from answered.iter_rows()


def _cores_each(workers: int) -> float:
    """Return a core, or the share that leaves room for all workers where one machine is lost."""
    import ray

    cores = [one["Resources"].get("CPU", 0.0) for one in ray.nodes() if one["Alive"]]
    left = sum(cores) - max(cores) if len(cores) > 1 else sum(cores)
    return min(1.0, left / workers)
