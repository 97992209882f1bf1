from tests.cli.small_runs import fresh


def test_names_of_networks_are_known_without_torch():
    code = "import sys; from ssseg.models import DECODERS, NETWORKS; print('dpt' in NETWORKS)"
    assert fresh(f"{code}; print('torch' in sys.modules)") == "True\nFalse\n"
