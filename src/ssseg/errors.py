"""The one exception for mistakes that a person can mend."""


class UserError(ValueError):
    """Bad input: one sentence with what was found, what was expected and how to mend it.

    The command line prints the sentence without a traceback and ends with exit code 2.
    """


def one_of(what: str, given: object, known: list[str]) -> UserError:
    """The error for a name that is not among the known ones, with the nearest known name."""
    import difflib

    near = difflib.get_close_matches(str(given), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    known_names = f" (known: {', '.join(sorted(known))})" if len(known) <= 30 else ""
    return UserError(f"unknown {what} {str(given)!r}{hint}{known_names}")
