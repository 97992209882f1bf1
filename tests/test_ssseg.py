"""The package itself: its public names, and what importing it costs."""

import pytest

import ssseg
from tests.cli.small_runs import fresh


def test_importing_the_package_is_cheap():
    assert fresh("import sys, ssseg; print('torch' in sys.modules)") == "False\n"


def test_public_names_exist():
    for name in ssseg.__all__:
        assert getattr(ssseg, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ssseg.nothing
