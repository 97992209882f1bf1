"""`ssseg doctor`: checks every image and mask of a data set."""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ssseg.cli.data_options import Parser
from ssseg.datacheck.check import check_data
from ssseg.datacheck.dataset import Plan

ALIASES = {
    # options of `ssseg fit`, which are accepted too
    "--data.labeled": "--labeled",
    "--data.select": "--select",
    "--data.split_seed": "--split_seed",
    "--data.batch_size": "--batch_size",
    "--trainer.max_steps": "--max_steps",
}


def parser() -> Parser:
    """The options of the verb."""
    out = Parser(
        prog="ssseg doctor",
        usage="ssseg doctor (FOLDER | --data NAME --data.OPTION ...) [options]",
        description="Read every image and mask of a data set once, and print its contents, its "
        "problems and how to fix them. Nothing is changed. The exit code is 0 if training can "
        "start, else 1.",
    )
    out.add_argument(
        "--labeled", help="as --data.labeled of ssseg fit; masks of unlabeled images are not read"
    )
    out.add_argument("--select", default="random", help="as --data.select")
    out.add_argument("--split_seed", type=int, default=0, help="as --data.split_seed")
    out.add_argument("--method", help="method to train; some need unlabeled images")
    out.add_argument("--network", help="network to train, for the estimate of memory")
    out.add_argument("--max_steps", type=int, default=800, help="number of optimiser steps")
    out.add_argument("--batch_size", type=int, help="labeled images per step")
    out.add_argument("--json", action="store_true", help="print the report as JSON")
    out.add_argument("--fix", metavar="OUT", help="write a corrected copy into a new folder")
    return out


def doctor(args: Sequence[str]) -> int:
    """Run `ssseg doctor`; returns 0 if training can start, else 1."""
    words = [word.partition("=") for word in args]
    make, given = parser().describe([f"{ALIASES.get(a, a)}{eq}{b}" for a, eq, b in words])
    plan = _plan(given)
    report = check_data(make, plan, None if given.fix is None else Path(given.fix), bar=True)
    if given.json:
        print(json.dumps(report, indent=1))
    else:
        from ssseg.datacheck.terminal import show

        show(report)
    return 0 if report.get("fix", {}).get("report", report)["verdict"]["ok"] else 1


def _plan(given: Namespace) -> Plan:
    return Plan(**{name: getattr(given, name) for name in Plan._fields})
