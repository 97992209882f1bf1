"""Runs on a Ray cluster. All nodes must have access to the benchmark's folder, e.g. over NFS."""

import logging
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from ssseg.benchmarking.launchers import Commands, start_process
from ssseg.errors import UserError

DIED = -1
"""Exit code of a run whose node or worker died."""
PATIENCE = 60.0
"""Seconds in which a run can save a checkpoint before it is killed."""


class Ray:
    """Starts runs on a cluster; each run is a task that executes its command lines.

    If the cluster has GPUs, each run gets one; else it gets a share of a node's cores. If a node
    dies, the runner starts its run again, which resumes from its checkpoint.

    Args:
        address: Address of the cluster; None: RAY_ADDRESS if set, else this machine only.
        jobs: Runs at the same time; None: one per GPU, else one per node.
        folder: Folder of the benchmark.

    Raises:
        UserError: If Ray is not installed, no cluster answers at the address, or a node has no
            access to the folder.
    """

    def __init__(self, address: str | None, jobs: int | None, folder: Path) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics are sent
        try:
            import ray
        except ImportError as error:
            raise UserError(
                'option launcher is ray, but Ray is not installed; pip install "ssseg[ray]"'
            ) from error
        self._ray: Any = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise UserError(
                    f"no Ray cluster answers at {address} ({str(error).splitlines()[0]}); "
                    "expected an address like 10.0.0.1:6379"
                ) from error
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        gpus = int(sum(node["Resources"].get("GPU", 0) for node in nodes))
        cores = [int(node["Resources"].get("CPU", 0)) for node in nodes]
        cores = [count for count in cores if count] or [1]
        self.slots = jobs or gpus or len(cores)
        self._threads = max(1, min(min(cores), sum(cores) // self.slots))
        self._gpus = 1 if gpus else 0
        try:
            self._all_see(nodes, folder)
        except UserError:
            self.close()
            raise

    def _all_see(self, nodes: list[dict[str, Any]], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        token = (folder / f".{uuid.uuid4().hex}").resolve()
        token.touch()
        try:
            blind = []
            for node in nodes:
                where = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                    node["NodeID"], soft=False
                )
                look = self._ray.remote(_sees).options(num_cpus=0, scheduling_strategy=where)
                if not self._ray.get(look.remote(str(token))):
                    blind.append(node["NodeManagerHostname"])
        finally:
            token.unlink()
        if blind:
            raise UserError(
                f"{folder} does not exist on {', '.join(blind)}; give a folder (--out) that all "
                "nodes of the cluster share"
            )

    def start(self, commands: Commands, log: Path) -> "RayRun":
        """Start the command lines as a task on the cluster."""
        task = self._ray.remote(_carry_out).options(
            num_cpus=self._threads, num_gpus=self._gpus, max_retries=0
        )
        asked = [list(command) for command in commands]
        return RayRun(self._ray, task.remote(asked, str(log), str(Path.cwd()), self._threads))

    def close(self) -> None:
        """Disconnect from the cluster, unless the caller had connected before."""
        if self._ours:
            self._ray.shutdown()


class RayRun:
    """A task on the cluster."""

    def __init__(self, ray: Any, task: Any) -> None:
        self._ray, self._task = ray, task

    def poll(self) -> int | None:
        """The exit code; None while the run goes on, `DIED` if the task is lost."""
        done, _ = self._ray.wait([self._task], timeout=0)
        if not done:
            return None
        try:
            return int(self._ray.get(self._task))
        except self._ray.exceptions.RayError:
            return DIED

    def stop(self) -> None:
        """Let the run save a checkpoint and end; kill it after `PATIENCE` seconds."""
        self._ray.cancel(self._task)
        done, _ = self._ray.wait([self._task], timeout=PATIENCE)
        if not done:
            self._ray.cancel(self._task, force=True)


def _sees(path: str) -> bool:
    return Path(path).is_file()


def _carry_out(commands: list[list[str]], log: str, folder: str, threads: int) -> int:
    """Run command lines on a node, one after another, until one fails; returns the exit code."""
    os.chdir(folder)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "COLUMNS": "200"}
    for command in commands:
        process = start_process(command, Path(log), environment)
        try:
            code = process.wait()
        finally:  # cancelled
            if process.poll() is None:
                process.terminate()
                with suppress(Exception):
                    process.wait()
        if code != 0:
            return code
    return 0
