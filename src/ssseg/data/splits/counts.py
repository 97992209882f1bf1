"""Counts and fractions of images, as users give them."""

import math
from collections.abc import Callable
from fractions import Fraction

from ssseg.errors import UserError


def number_of(wanted: str) -> Fraction | None:
    """The number in a text such as `30`, `1/8` or `0.125`; None if the text is not a number."""
    try:
        return Fraction(wanted)
    except ZeroDivisionError:
        return Fraction(0)  # 1/0 is a wrong number and not the name of a file
    except ValueError:
        return None


def count_of(
    number: str,
    total: int,
    option: str,
    rounding: Callable[[Fraction], int] = math.ceil,
) -> int:
    """The number of images for a count or a fraction.

    Args:
        number: A count (`30`) or a fraction (`1/8`, `0.125`) of all images.
        total: Number of all images.
        option: Value of `data.labeled`, for messages.
        rounding: Rounding of fractions of images. `ceil` gives the published 372 of 2,975 (1/8)
            and 662 of 10,582 (1/16).

    Raises:
        UserError: For less than one image or more than `total`.
    """
    value = number_of(number) or Fraction(0)
    if "/" in number or "." in number or value.denominator > 1:
        value *= total  # exact fractions: with floats 0.29 of 100 would be 28
    count = rounding(value)
    if not 1 <= count <= total:
        raise UserError(
            f"option data.labeled is {option}, which is {count} of {total} training images with "
            f"masks; expected a count from 1 to {total}, a fraction such as 1/8, or a list file"
        )
    return count
