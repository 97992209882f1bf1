"""The same grid on a cluster of two nodes (processes of this machine) and by the local launcher."""

import os
import subprocess
import sys
import time

import pytest

from ssseg.benchmarking import ray_launcher as ray_launch
from ssseg.cli.main import main
from ssseg.errors import UserError
from ssseg.runs.run import Run

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

GRID = [
    *("benchmark", "--methods", "supervised,classmix", "--classmix.threshold", "0"),
    *("--data.train_images", "24", "--data.val_images", "4", "--data.size", "32"),
    *("--data.labeled", "8", "--data.batch_size", "4", "--trainer.accelerator", "cpu"),
    *("--network.encoder", "test_resnet", "--network.depth", "3"),
    *("--trainer.max_steps", "30", "--trainer.val_check_interval", "15"),
    *("--checkpoint_every", "2"),
]
NAMES = ["supervised-seed0", "classmix-seed0"]


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    made.second = made.add_node(num_cpus=1)
    yield made
    ray.shutdown()
    made.shutdown()


def told(folder):
    keys = ("steps", "last", "best", "history", "exposures", "data", "fingerprints", "config_hash")
    summary = Run(folder).summary
    return {key: summary[key] for key in keys}


@pytest.mark.slow
def test_the_cluster_gives_the_numbers_of_the_local_launcher(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # jobs: as many threads for each run as on the cluster
    assert main([*GRID, "--out", "local", "--jobs", str(os.cpu_count())]) == 0
    where = ["--launcher", "ray", "--address", cluster.address]
    assert main([*GRID, "--out", "ray", *where]) == 0
    for name in NAMES:
        assert told(tmp_path / "ray" / name) == told(tmp_path / "local" / name)
    assert (tmp_path / "ray" / "report" / "report.html").is_file()


@pytest.mark.slow
def test_a_run_whose_node_dies_goes_on_elsewhere(cluster, tmp_path):
    """Of two runs, one on each node, one loses its node; the other node takes it up."""
    command = [sys.executable, "-m", "ssseg", *GRID, "--out", str(tmp_path / "study")]
    command += ["--launcher", "ray", "--address", cluster.address, "--retries", "2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    folders = [tmp_path / "study" / name for name in NAMES]
    with subprocess.Popen(command, **pipes) as p:
        deadline = time.monotonic() + 200
        while not all((folder / "checkpoints" / "last.ckpt").is_file() for folder in folders):
            assert p.poll() is None, p.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        cluster.remove_node(cluster.second, allow_graceful=False)
        said = p.communicate(timeout=300)[0]
    assert p.returncode == 0, said
    assert said.count("the process died") == 1
    assert all((folder / "summary.json").is_file() for folder in folders)


def test_no_cluster_there_is_one_sentence(tmp_path, monkeypatch):
    class Nobody:
        @staticmethod
        def is_initialized():
            return False

        @staticmethod
        def init(**_):
            raise ConnectionError("could not connect\nand a long story")

    monkeypatch.setitem(sys.modules, "ray", Nobody)
    with pytest.raises(UserError, match=r"no Ray cluster answers at 10.0.0.9:6379 .could not") as e:
        ray_launch.Ray("10.0.0.9:6379", None, tmp_path)
    assert "\n" not in str(e.value)


def test_without_ray_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"not installed; pip install .ssseg.ray."):
        ray_launch.Ray(None, None, tmp_path)


class FakeRay:
    """A cluster of a few nodes, of which some do not see the folder."""

    def __init__(self, nodes):
        self.found, self.closed = nodes, False
        self.util = self
        self.scheduling_strategies = self

    def is_initialized(self):
        return False

    def init(self, **_):
        pass

    def nodes(self):
        return [
            {"Alive": True, "NodeID": name, "NodeManagerHostname": name, "Resources": resources}
            for name, resources in self.found.items()
        ]

    def NodeAffinitySchedulingStrategy(self, node, soft):  # noqa: N802 (Ray's name)
        return node

    def remote(self, function):
        return self

    def get(self, value):
        return value

    def shutdown(self):
        self.closed = True


def joined(monkeypatch, nodes, jobs=None, blind=(), folder=None):
    fake = FakeRay(nodes)

    class Task:
        def __init__(self, node):
            self.node = node

        def remote(self, path):
            return self.node not in blind and ray_launch._sees(path)

    fake.options = lambda scheduling_strategy=None, **_: Task(scheduling_strategy)
    monkeypatch.setitem(sys.modules, "ray", fake)
    return ray_launch.Ray("x:1", jobs, folder), fake


@pytest.mark.parametrize(
    ("nodes", "jobs", "slots", "threads"),
    [
        ({"a": {"CPU": 8}, "b": {"CPU": 8}}, None, 2, 8),
        ({"a": {"CPU": 8}, "b": {"CPU": 2}}, None, 2, 2),  # a run fits on every node
        ({"a": {"CPU": 8}, "b": {"CPU": 8}}, 8, 8, 2),
        ({"a": {"CPU": 16, "GPU": 4}, "b": {"CPU": 16, "GPU": 4}}, None, 8, 4),
        ({"a": {"CPU": 2}}, 5, 5, 1),
    ],
)
def test_runs_share_the_cluster(tmp_path, monkeypatch, nodes, jobs, slots, threads):
    made, _ = joined(monkeypatch, nodes, jobs, folder=tmp_path / "study")
    assert (made.slots, made._threads) == (slots, threads)
    assert not list((tmp_path / "study").iterdir())


def test_a_node_that_does_not_see_the_folder_is_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"does not exist on far; give a folder .* that all nodes"):
        joined(
            monkeypatch, {"near": {"CPU": 1}, "far": {"CPU": 1}}, None, {"far"}, tmp_path / "study"
        )
    assert sys.modules["ray"].closed


def test_what_is_asked_of_a_node(tmp_path, monkeypatch):
    """The commands one after another, in the caller's folder, until one fails."""
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "run.log"
    commands = [["--version"], ["fti"], ["--version"]]
    assert ray_launch._carry_out(commands, str(log), str(tmp_path), 1) == 2
    lines = log.read_text().splitlines()
    assert len(lines) == 2
    assert "did you mean 'fit'" in lines[1]
