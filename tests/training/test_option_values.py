"""Values of the Trainer's options, and what is said against some of them."""

from datetime import timedelta

import pytest

from ssseg.training.option_values import (
    as_list,
    at_least,
    low_precision,
    missing_accelerator,
    no_interval,
    no_time,
    not_ddp,
    one_of,
    only,
    precision_of,
    seconds_of,
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("00:00:01:30", 90),
        ("01:02:03:04", 93784),
        (timedelta(minutes=5), 300),
        ({"hours": 1, "seconds": 2}, 3602),
        ({"fortnights": 1}, None),
        ("1:30", None),
        ("soon", None),
        (90, None),
        (None, None),
    ],
)
def test_a_time_in_seconds(value, seconds):
    assert seconds_of(value) == seconds
    assert (no_time(value) is None) == (value is None or seconds is not None)


def test_a_time_is_longer_than_nothing():
    assert "expected a time as DD:HH:MM:SS" in no_time("00:00:00:00")


@pytest.mark.parametrize(
    ("value", "fine"),
    [(None, True), (1, True), (0, False), (0.5, False), ("00:00:10:00", True), ("often", False)],
)
def test_an_interval_is_a_number_of_batches_or_a_time(value, fine):
    assert (no_interval(value) is None) == fine


def test_only_tells_numbers_from_truth_values():
    said = only(1, None, because="not here")
    assert (said(1), said(None)) == (None, None)
    assert said(True) == said(1.0) == said(2) == "not here"


def test_numbers_and_names():
    assert at_least(2, " steps")(1) == "expected at least 2 steps"
    assert at_least(2)(2) is at_least(2)(None) is None
    assert one_of(["a", "b"])("c") == "expected one of a, b"
    assert one_of(["a"])("A") is one_of(["a"])(object()) is None


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "32-true"), (32, "32-true"), ("bf16", "bf16-mixed"), ("64", "64-true"), ("x", "x")],
)
def test_a_precision_has_one_name(value, name):
    assert precision_of(value) == name


def test_weights_in_16_bits_are_refused():
    assert low_precision("bf16-mixed") is None
    assert "weights are kept in 32 or 64 bits" in low_precision("bf16-true")


def test_devices_train_by_ddp():
    assert not_ddp("ddp") is not_ddp("ddp_find_unused_parameters_true") is not_ddp("auto") is None
    assert "expected one of auto, ddp" in not_ddp("fsdp")


def test_a_kind_of_device_must_be_there():
    assert missing_accelerator("cpu") is missing_accelerator("auto") is None
    assert "finds none" not in missing_accelerator("abacus")
    assert "expected one of" in missing_accelerator("abacus")


def test_one_several_or_none():
    assert as_list(None) == []
    assert as_list("a") == ["a"]
    assert as_list(("a", "b")) == as_list(["a", "b"]) == ["a", "b"]
