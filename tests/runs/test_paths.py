from pathlib import Path

from ssseg.runs.command import with_home
from ssseg.runs.paths import all_at_home, as_path, at_home


def test_home_is_where_a_shell_would_put_it(home):
    assert at_home("~/run") == f"{home}/run"
    assert with_home(["fit", "--out=~/run", "~/x", "--a.b", "~", "x~", "--c=x=~/y", "-1"]) == [
        *("fit", f"--out={home}/run", f"{home}/x", "--a.b", home, "x~", "--c=x=~/y", "-1")
    ]
    assert at_home("~lock.png") == "~lock.png"
    assert as_path(Path("~/a")) == Path(home, "a")
    assert all_at_home({"a": ["~/b", 3, {"c": "~"}]}) == {"a": [f"{home}/b", 3, {"c": home}]}
