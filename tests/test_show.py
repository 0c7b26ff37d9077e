"""What people see: one-line reprs, trees and descriptions as text and HTML, of any storage."""

import html.parser
import itertools
import re

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memdata
from memdata import MemDiskGroup, MemGroup, show
from memdata.mpiarray import MPIArray
from memdata.show import facts, page, words
from memdata.show.text import Picture
from memdata.show.walk import Limits, walk


@pytest.fixture
def tree():
    group = MemGroup()
    vis = group.create_dataset(
        "obs/vis",
        data=np.ones((4, 100), "c8"),
        chunks=(2, 50),
        compression="gzip",
        compression_opts=4,
        shuffle=True,
    )
    vis.attrs["axis"] = ("freq", "time")
    vis.attrs["units"] = "Jy"
    group["obs/flag"] = np.zeros(100, bool)
    group.create_group("empty")
    group.attrs["title"] = "a night"
    return group


def opened(tree, kind, folder):
    """The tree as a group of that kind, and what has to be closed."""
    if kind == "memory":
        return tree
    if kind == "container":
        return MemDiskGroup(tree)
    name = folder / ("x.zarr" if kind == "zarr" else "x.h5")
    tree.to_file(name, **({"zarr_format": 2} if kind == "zarr" else {}))
    if kind == "hdf5":
        return h5py.File(name)
    if kind == "container of a file":
        return MemDiskGroup(h5py.File(name))
    return pytest.importorskip("zarr").open_group(str(name), mode="r")


KINDS = ["memory", "container", "hdf5", "container of a file", "zarr"]


@pytest.mark.parametrize("kind", KINDS)
class TestAnyStorage:
    def test_a_tree_says_shapes_types_sizes_units_and_compression(self, tree, kind, tmp_path):
        lines = str(show.tree(opened(tree, kind, tmp_path))).split("\n")
        (vis,) = [line for line in lines if "vis" in line]
        for text in ("(freq 4, time 100)", "complex64", "3.1 KiB", "Jy", "shuffle, gzip 4"):
            assert text in vis
        assert any(line.endswith("empty/  empty") for line in lines)
        assert len(lines) == 5

    def test_a_dataset_is_described(self, tree, kind, tmp_path):
        text = str(memdata.describe(opened(tree, kind, tmp_path)["obs/vis"]))
        for row in (r"shape +\(4, 100\)", r"axes +freq 4, time 100", r"units +Jy", r"chunks +4 of"):
            assert re.search(row, text), text

    def test_a_group_is_described(self, tree, kind, tmp_path):
        text = str(memdata.describe(opened(tree, kind, tmp_path)))
        assert "2 datasets, 2 groups" in text
        assert "a night" in text

    def test_html_has_every_name_and_is_well_formed(self, tree, kind, tmp_path):
        made = show.html(opened(tree, kind, tmp_path))
        for name in ("obs", "vis", "flag", "empty", "a night", "Jy"):
            assert name in made
        assert_well_formed(made)


class Balance(html.parser.HTMLParser):
    """Every tag is closed by its own; remembers what is there."""

    def __init__(self):
        super().__init__()
        self.stack, self.tags, self.attributes = [], set(), set()

    def handle_starttag(self, tag, attrs):
        self.stack.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _value in attrs}

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def assert_well_formed(made):
    parser = Balance()
    parser.feed(made)
    parser.close()
    assert not parser.stack
    known = {"div", "style", "details", "summary", "span", "ul", "li", "table", "tr", "td", "pre"}
    assert parser.tags <= known
    assert parser.attributes <= {"class", "style", "open", "title"}


class TestRepr:
    def test_of_groups_is_one_line(self, tree, tmp_path):
        assert repr(tree) == "<MemGroup '/': 2 children>"
        assert repr(tree["empty"]) == "<MemGroup '/empty': 0 children>"
        tree.to_hdf5(tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5") as file:
            shown = repr(MemDiskGroup(file)["obs"])
        assert shown == f"<MemDiskGroup '/obs': 2 children, in the file {str(tmp_path / 'x.h5')!r}>"

    def test_of_a_group_that_is_gone(self, tree):
        assert "\n" not in repr(tree["obs"])

    def test_of_a_name_with_a_line_break(self, tree):
        assert "\n" not in repr(tree.create_group("two\nlines"))


class TestTree:
    def test_links_types_and_circles(self, tree):
        tree["obs/loop"] = tree["obs"]
        tree["soft"] = h5py.SoftLink("/obs/vis")
        tree["away"] = h5py.ExternalLink("other.h5", "/x")
        tree["sample"] = np.dtype("i2")
        text = str(tree.tree())
        for shown in (
            "loop/  same as /obs",
            "soft  → /obs/vis",
            "away  → other.h5 : /x",
            "sample  named type int16",
        ):
            assert shown in text

    def test_depth_and_number_of_children(self, tree):
        assert str(tree.tree(depth=0)).split("\n")[1:] == ["└── 2 children"]
        assert str(tree["obs"].tree(max_children=1)).endswith("└── … and 1 more child")

    def test_a_terminal_is_not_told_what_to_do(self, tree):
        tree["\x1b[31mred"] = np.zeros(1)
        tree.attrs["a"] = "\x1b]0;title\x07"
        text = str(tree.tree()) + str(tree.describe())
        assert "\x1b" not in text
        assert "\x07" not in text

    def test_colours_where_asked_for(self, tree, monkeypatch):
        pytest.importorskip("rich")
        plain = str(tree.tree())
        assert "\x1b" not in plain
        monkeypatch.setenv("FORCE_COLOR", "1")
        coloured = str(tree.tree())
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
        assert "\x1b[" in coloured
        monkeypatch.setenv("NO_COLOR", "1")
        assert str(tree.tree()) == plain

    def test_plain_where_rich_is_missing(self, tree, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setitem(__import__("sys").modules, "rich.console", None)
        assert str(tree.tree()) == tree.tree().plain()

    def test_large_trees_are_cut_in_notebooks(self):
        group = MemGroup()
        for number in range(150):
            group[f"d{number:03}"] = np.zeros(1)
        made = show.html(group)
        assert "d099" in made
        assert "d100" not in made
        assert "and 50 more children" in made

    def test_deep_trees(self):
        group = MemGroup()
        group["/".join("x" * 300)] = np.zeros(1)
        assert len(str(group.tree()).split("\n")) == 301
        assert_well_formed(show.html(group))

    def test_hidden_names_stay_hidden(self, tree):
        class Visible(MemDiskGroup):
            def dataset_name_allowed(self, name):
                return name.rpartition("/")[2] != "flag"

        assert "flag" not in str(Visible(tree).tree())


class TestDescribe:
    @pytest.mark.parametrize(
        ("array", "said"),
        [
            (np.array([3, 1, 2]), "1 to 3, mean 2"),
            (np.array([1.0, np.nan, 3.0]), "1 to 3, mean 2, 1 NaN"),
            (np.full(3, np.nan), "all NaN"),
            (np.array([True, False, True]), "2 true, 1 false"),
            (np.array(["2020-01-01", "2021-01-01"], "M8[D]"), "2020-01-01 to 2021-01-01"),
            (np.array([3 + 4j, 0]), "absolute 0 to 5, mean 1.5+2j"),
            (np.array(7), "7"),
            (np.array(["a", "b"], object), "[a, b]"),
        ],
        ids=str,
    )
    def test_range_of_values(self, array, said):
        group = MemGroup()
        text = str(group.create_dataset("x", data=array).describe())
        assert re.search(rf"values +{re.escape(said)}$", text, re.MULTILINE), text

    def test_no_range_where_it_would_take_long(self):
        made = MemGroup().create_dataset("x", (2_000_000,), "u1")
        assert "values" not in str(made.describe())

    def test_an_empty_and_a_null_dataset(self):
        group = MemGroup()
        assert "(0, 3)" in str(group.create_dataset("a", (0, 3)).describe())
        assert "null" in str(group.create_dataset("b", data=h5py.Empty("f4")).describe())

    def test_what_is_packed_in_a_file(self, tree, tmp_path):
        tree.to_hdf5(tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5") as file:
            stored = file["obs/vis"].id.get_storage_size()
            assert f"{stored} B in the file" in str(memdata.describe(file["obs/vis"]))

    def test_of_arrays(self):
        assert "MPIArray" in str(MPIArray((4, 3), 0, dtype="f4").describe())
        assert "(3,)" in str(memdata.describe(np.zeros(3)))

    def test_what_cannot_be_read_is_said(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            made = file.create_dataset("x", data=np.arange(100), chunks=(100,), fletcher32=True)
            place = made.id.get_chunk_info(0).byte_offset
        with open(tmp_path / "x.h5", "r+b") as raw:
            raw.seek(place)
            raw.write(b"\x01\x02" * 4)
        with h5py.File(tmp_path / "x.h5") as file:
            assert "cannot be read" in str(memdata.describe(file["x"]))
            assert "cannot be read" in show.html(file)


class TestRanks:
    def test_parts_cover_the_axis(self):
        for length, ranks in ((10, 3), (2, 5), (7, 7), (0, 2)):
            bounds = [facts.Spread(0, length, ranks, 0).bounds(rank) for rank in range(ranks)]
            assert bounds[0][0] == 0
            assert bounds[-1][1] == length
            assert all(a[1] == b[0] for a, b in itertools.pairwise(bounds))

    @pytest.mark.parametrize("ranks", [2, 5, 20, 300])
    def test_a_drawing_of_who_holds_what(self, ranks):
        found = facts.facts_of(np.zeros((3, 1024)), "vis", "/vis")
        found.axes = ("time", "freq")
        found.spread = facts.Spread(1, 1024, ranks, 1)
        made = page._ranks(found)
        assert_well_formed(made)
        widths = [float(text) for text in re.findall(r"width:([0-9.]+)%", made)]
        assert sum(widths) == pytest.approx(100, abs=0.1)
        assert made.count("md-here") == 1
        assert f"{ranks} ranks along freq" in made

    def test_what_a_file_says_of_ranks(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = np.zeros((4, 2))
            file["x"].attrs.update(__memh5_distributed_dset=True, __memh5_distributed_axis=1)
            assert "saved by ranks along axis 1" in str(show.tree(file))


class TestHostile:
    @given(name=st.text(min_size=1, max_size=8), text=st.text(max_size=20))
    def test_any_name_and_value_is_escaped(self, name, text):
        group = MemGroup()
        if name in {".", ".."} or set(name) & set("/\0"):
            return
        group[f"<b>{name}"] = np.array([text], object)
        group.attrs[f"<i>{name}"] = f"<script>{text}"
        assert_well_formed(show.html(group))
        assert "\n" not in repr(group)

    def test_a_repr_that_raises(self, tree):
        class Bad:
            def __repr__(self):
                raise RuntimeError("no")

        tree.attrs["bad"] = Bad()
        assert "RuntimeError" in str(tree.describe())
        assert_well_formed(show.html(tree))

    def test_a_closed_file(self, tree, tmp_path):
        tree.to_hdf5(tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5") as file:
            group, data = MemDiskGroup(file), file["obs/vis"]
        for item in (group, file, data):
            assert_well_formed(show.html(item))
            assert "cannot be read" in str(show.describe(item)) + str(show.tree(item))


def test_a_picture_is_text_and_html():
    picture = Picture([[("group", "<a>")]])
    assert repr(picture) == "<a>"
    assert picture._repr_html_() == "<pre>&lt;a&gt;</pre>"
    assert set(picture._repr_mimebundle_()) == {"text/plain", "text/html"}


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (2**70, "1024.0 EiB")]
)
def test_sizes(count, said):
    assert words.size(count) == said


def test_a_limit_of_nodes(tree):
    root = walk(tree, Limits(all=1))
    assert len(list(root.all())) == 2
    assert root.hidden == 1
