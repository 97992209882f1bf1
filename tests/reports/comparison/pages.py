"""Reads a page as a browser would."""

import re
from html.parser import HTMLParser

import ssseg

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what a browser would load."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.loads, self.ids, self.links, self.tags = [], [], [], [], []
        self.words = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "data", "poster", "srcset", "action"):
                self.loads.append(value)
            if name in ("href", "xlink:href"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
            assert not name.startswith("on"), "no script in attributes"

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


def check_page(text):
    page = Page(text)
    assert "script" not in page.tags
    assert all(load.startswith("data:image/") for load in page.loads)
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "ids of several plots do not clash"
    outside = re.sub(r'xmlns="http://www\.w3\.org/2000/svg"', "", text)
    assert not re.search(r"https?://|@import|url\((?!#)", outside)
    used = re.findall(r"url\(#([^)]+)\)", text)
    assert set(used) <= set(page.ids)
    return page


def report(place, **options):
    return ssseg.report(place, **options)


def check_latex(text):
    """Braces and environments are balanced, rows are as long as their head, nothing is raw."""
    bare = re.sub(r"(?m)(?<!\\)%.*$", "", text)
    depth = 0
    for sign in re.findall(r"\\.|[{}]", bare):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    names = re.findall(r"\\(begin|end)\{(\w+\*?)\}", bare)
    stack = []
    for kind, name in names:
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    assert not re.search(r"(?<!\\)[#_]", bare)
    assert len(re.findall(r"(?<!\\)\$", bare)) % 2 == 0
    for block in re.findall(r"\\toprule(.*?)\\bottomrule", bare, re.DOTALL):
        rows = [row for row in block.replace(r"\midrule", "").split(r" \\") if row.strip()]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1
    assert bare.isascii()
