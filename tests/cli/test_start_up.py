"""The threads of a command, in processes of their own."""

import os

import pytest
import torch

from ssseg.cli import start_up as module
from ssseg.cli.start_up import keep_threads, start_up, threads_line
from ssseg.runs.cpus import MOST, Threads, allowed_cpus
from tests.cli.small_runs import fresh

STARTS = """
import os, sys
from ssseg.cli.start_up import start_up, threads_line
with start_up():
    import torch
print(os.environ["OMP_WAIT_POLICY"], torch.get_num_threads(), threads_line(), sep="|")
"""


@pytest.fixture
def alone(monkeypatch):
    """No person and no benchmark has chosen anything."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", MOST):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("alone")
def test_a_command_has_as_many_threads_as_it_may_and_says_why(monkeypatch):
    policy, number, line = fresh(STARTS).rstrip().split("|")
    assert policy == "PASSIVE"
    assert 1 <= int(number) <= allowed_cpus()
    assert line.startswith(f"{number} of {allowed_cpus()} CPU")
    monkeypatch.setenv(MOST, "1")
    assert fresh(STARTS).split("|")[1] == "1"


@pytest.mark.usefixtures("alone")
def test_the_number_of_a_person_holds(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv(MOST, "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    number = min(2, allowed_cpus())  # torch takes no more
    assert fresh(STARTS) == f"ACTIVE|{number}|{number}, from OMP_NUM_THREADS\n"


def test_a_program_that_has_imported_torch_keeps_its_threads(monkeypatch):
    before = torch.get_num_threads(), dict(os.environ)
    with start_up():
        pass
    assert (torch.get_num_threads(), dict(os.environ)) == before
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads_line() == str(before[0])


def test_a_run_that_goes_on_has_as_many_threads_as_before(monkeypatch):
    chosen = []
    monkeypatch.setattr(module, "_why", "of 8 CPUs")
    monkeypatch.setattr(module, "use_threads", chosen.append)
    keep_threads({"callbacks": {"RunFolder": {"threads": 5}}})
    assert chosen == [Threads(5, "as before this run was interrupted")]
    keep_threads({"callbacks": {}})  # of an earlier version
    monkeypatch.setattr(module, "_why", None)  # a person, or a program, has chosen
    keep_threads({"callbacks": {"RunFolder": {"threads": 5}}})
    assert len(chosen) == 1
