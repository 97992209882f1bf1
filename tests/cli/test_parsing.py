import pytest

from ssseg.cli.parsing import VerbParser, format_parser_error, required_options
from ssseg.errors import UserError


def test_what_must_be_given_has_no_default_and_a_name_of_its_own():
    class Made:
        def __init__(self, root, *rest, size=3, scale, **options):
            pass

    assert required_options(Made) == ["root", "scale"]


def test_an_error_of_the_parser_names_option_value_and_kind():
    said = (
        "Parser key \"fit.data.source.init_args.size\":\n  Expected a <class 'int'>. Got value: x"
    )
    assert format_parser_error(said) == "option data.size is 'x'; expected a whole number"
    assert format_parser_error("other\n  words") == "other words"


def test_options_are_not_abbreviated():
    parser = VerbParser(prog="ssseg look")
    parser.add_argument("--deep", action="store_true")
    with pytest.raises(UserError, match="unrecognized arguments: --dee; see ssseg look --help"):
        parser.parse_args(["--dee"])
