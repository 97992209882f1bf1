"""Reports of run folders, and their lines and rows."""

import ssseg
from ssseg.reports.comparison import contents


def report(*places, **options):
    return ssseg.report([str(place) for place in places], **options)


def line(made, label, number=0):
    """The cells of a row of a table of scores, by column."""
    table = contents.scores(made.tables[number], made.tables)
    row = next(row for row in table.rows if row[0].text == label)
    return dict(zip(table.head, row, strict=True))


def notes(made, number=0):
    return " ".join(contents.scores(made.tables[number], made.tables).notes)


def points(values):
    return [100 * value for value in values]


def rows(table):
    return table if isinstance(table, list) else table.to_dict("records")
