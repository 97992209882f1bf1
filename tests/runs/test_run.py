from ssseg.runs.run import config_hash
from tests.benchmarking.runs import CONFIG, changed


def test_the_hash_is_of_values_not_of_their_order():
    backwards = dict(reversed(CONFIG.items()))
    assert config_hash(backwards) == config_hash(CONFIG)
    assert config_hash(changed(out="x", seed_everything=9)) == config_hash(CONFIG)
    assert config_hash(changed(trainer__max_steps=9)) != config_hash(CONFIG)
