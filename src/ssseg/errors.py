"""The exception for mistakes that a user can fix."""


class UserError(ValueError):
    """Bad input: one sentence with what was found, what was expected and how to fix it.

    The command line prints the sentence without a traceback and ends with exit code 2.
    """


def one_of(what: str, given: object, known: list[str]) -> UserError:
    """The error for an unknown name, with the most similar known name.

    Args:
        what: What is named, e.g. `method`.
        given: The unknown name.
        known: All known names.
    """
    import difflib

    near = difflib.get_close_matches(str(given), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    known_names = f" (known: {', '.join(sorted(known))})" if len(known) <= 30 else ""
    return UserError(f"unknown {what} {str(given)!r}{hint}{known_names}")
