"""`memdata.diff` and `memdata.equal`: a tree equals its copies, and nothing else."""

import copy
import subprocess
import sys

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import memdata
from memdata import MemGroup
from memdata.cli import main
from memdata.formats import differing
from memdata.testing import strategies

KINDS = ["memory", "hdf5", "zarr"]


@pytest.fixture
def tree():
    return fill(MemGroup())


def fill(group):
    group.attrs["title"] = "a tree"
    time = group.create_dataset("obs/time", data=np.arange(5.0))
    time.attrs["units"] = "s"
    time.attrs["range"] = np.array([0, 4], "i4")
    group.create_dataset("obs/vis", data=np.ones((4, 3), "c8"))
    group.create_dataset("flags", data=np.array([True, False]))
    group.create_group("empty")
    return group


def as_kind(tree, kind, folder, name="x"):
    """The tree as one of its kind."""
    if kind == "memory":
        return tree
    path = folder / f"{name}.{'h5' if kind == 'hdf5' else 'zarr'}"
    tree.to_file(path)
    return str(path)


def found(a, b, **rules):
    return [(one.path, one.what) for one in memdata.diff(a, b, **rules)]


# ---- equal iff nothing was changed --------------------------------------------------------------


def nodes_of(tree):
    """All nodes below, by path."""
    nodes = {}
    stack = [tree]
    while stack:
        group = stack.pop()
        for name in group:
            node = group[name]
            nodes[node.name] = node
            if isinstance(node, MemGroup):
                stack.append(node)
    return nodes


@st.composite
def changes(draw, tree):
    """Change one thing in a tree; returns what `diff` has to tell."""
    nodes = nodes_of(tree)
    path = draw(st.sampled_from(["/", *sorted(nodes)]))
    node = nodes.get(path, tree)
    kinds = ["add attribute", "add"]
    if path != "/":
        kinds.append("remove")
    if node.attrs:
        kinds += ["remove attribute", "change attribute"]
    if hasattr(node, "dtype"):
        kinds += ["value", "dtype", "shape"] if node.size else ["dtype", "shape"]
        kinds.remove("add")
    kind = draw(st.sampled_from(kinds))
    if kind == "add":
        node.create_group("new")
        return f"{path.rstrip('/')}/new", "missing"
    if kind == "remove":
        del tree[path]
        return path, "missing"
    if kind.endswith("attribute"):
        name = "new" if kind.startswith("add") else draw(st.sampled_from(sorted(node.attrs)))
        if kind.startswith("remove"):
            del node.attrs[name]
        else:
            node.attrs[name] = "a new value"
        return path, "attribute"
    data, attrs = node[()], dict(node.attrs)
    data = np.array(data, node.dtype)
    if kind == "value":
        place = draw(st.integers(0, data.size - 1))
        content = data.reshape(-1).view("u1").reshape(data.size, -1)
        before = data.copy()
        content[place, draw(st.integers(0, data.itemsize - 1))] ^= 1
        # Some bits do not count: padding, the kind of a NaN, the sign of a zero.
        assume(data.tolist() != before.tolist())
        assume(str(data.tolist()).replace("-0", "0") != str(before.tolist()).replace("-0", "0"))
        kind = "values"
    elif kind == "dtype":
        data = np.zeros(data.shape, "u8")
    else:
        data = np.zeros((*data.shape, 2), data.dtype)
    del tree[path]
    node = tree.create_dataset(path, data=data)
    node.attrs.update(attrs)
    return path, kind


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS), other=st.sampled_from(KINDS))
def test_a_tree_equals_its_copies(tmp_path_factory, data, kind, other):
    zarr_too = "zarr" in {kind, other}
    tree = data.draw(strategies.trees(structured=not zarr_too, finite=zarr_too))
    folder = tmp_path_factory.mktemp("same")
    a = as_kind(tree, kind, folder, "a")
    b = as_kind(copy.deepcopy(tree), other, folder, "b")
    differences = memdata.diff(a, b)
    assert not differences, str(differences)
    assert memdata.equal(a, b)


@settings(max_examples=120, deadline=None)
@given(tree=strategies.trees(structured=True), kind=st.sampled_from(KINDS[:2]), data=st.data())
def test_one_change_is_found_where_it_is(tmp_path_factory, tree, kind, data):
    changed = copy.deepcopy(tree)
    expected = data.draw(changes(changed))
    folder = tmp_path_factory.mktemp("changed")
    a, b = as_kind(tree, kind, folder, "a"), as_kind(changed, "memory", folder)
    assert expected in found(a, b)
    assert {path for path, _what in found(a, b)} == {expected[0]}
    assert not memdata.equal(a, b)
    assert not memdata.equal(b, a)


# ---- values -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    dtype=st.sampled_from(["i1", "u1", "i8", "u8", "f4", "f8", "c8", "?"]),
    shape=hnp.array_shapes(max_dims=3, max_side=5),
    piece=st.sampled_from([8, 64, 1 << 20]),
    data=st.data(),
)
def test_count_place_and_largest_difference_are_numpys(dtype, shape, piece, data):
    few = hnp.from_dtype(np.dtype(dtype), allow_nan=True, allow_infinity=False)
    x = data.draw(hnp.arrays(dtype, shape, elements=few))
    y = x.copy()
    for place in data.draw(st.lists(st.integers(0, x.size - 1), max_size=3)):
        y.flat[place] = data.draw(few)
    different = ~((x == y) | ((x != x) & (y != y)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(differing, "_PIECE", piece)
        patch.setattr(differing, "_ROW", piece)
        differences = memdata.diff(x, y)
    if not different.any():
        assert not differences
        return
    (one,) = differences
    assert (one.path, one.what) == ("/", "values")
    assert one.count == different.sum()
    assert one.first == tuple(np.argwhere(different)[0])
    with np.errstate(all="ignore"):
        if np.dtype(dtype).kind in "iub":
            gaps = [abs(int(a) - int(b)) for a, b in zip(x[different], y[different], strict=True)]
        else:
            gaps = np.abs(np.subtract(x, y, dtype=np.result_type(x, "f8")))[different]
            gaps = gaps[~np.isnan(gaps)]
    assert one.largest == (max(gaps) if len(gaps) else None)


@pytest.mark.parametrize("kind", KINDS)
def test_tolerances_are_numpys(tree, tmp_path, kind):
    other = copy.deepcopy(tree)
    other["obs/time"][3] += 0.001
    other = as_kind(other, kind, tmp_path)
    assert found(tree, other) == [("/obs/time", "values")]
    assert found(tree, other, atol=0.0009) == [("/obs/time", "values")]
    assert memdata.equal(tree, other, atol=0.0011)
    assert memdata.equal(tree, other, rtol=0.001)


@pytest.mark.parametrize(
    "array",
    [
        np.array([np.nan, 1]),
        np.array([np.nan + 1j, 1j]),
        np.array(["NaT", "2020-01-01"], "M8[s]"),
        np.array([(np.nan, "x"), (1, "x")], "f8,U1"),
        np.array(["a", None, 1.5, (1, 2)], object),
        np.array([b"ab", b"c\0d"], "V3"),
        np.array(["a", "ü"], np.dtypes.StringDType()),
        np.ma.masked_array([1, 2]).data,
    ],
    ids=lambda array: str(array.dtype),
)
def test_arrays_of_all_types_equal_themselves(array):
    assert memdata.equal(array, array.copy())
    other = array.copy()
    other[0] = other[1]
    assert not memdata.equal(array, other)


def test_types_count_unless_told_otherwise():
    x, y = np.arange(3, dtype="i4"), np.arange(3, dtype=">f8")
    assert found(x, y) == [("/", "dtype")]
    assert memdata.equal(x, y, types=False)
    assert found(x, y + 1, types=False) == [("/", "values")]
    assert found(x, np.array(["a", "b", "c"])) == [("/", "dtype")]


def test_variable_length_strings_of_a_file_and_of_memory(tmp_path):
    tree = MemGroup()
    tree.create_dataset("names", data=np.array(["a", "ü", ""], object))
    tree.to_hdf5(tmp_path / "x.h5")
    assert memdata.equal(tree, tmp_path / "x.h5")
    tree["names"][1] = "u"
    assert found(tree, tmp_path / "x.h5") == [("/names", "values")]


@pytest.mark.parametrize("chunks", [None, (7, 100), (100, 3)], ids=str)
def test_large_datasets_are_compared_in_pieces(tmp_path, chunks, monkeypatch):
    array = np.random.default_rng(0).random((300, 200))
    other = array.copy()
    other[250, 7] += 1
    for name, content in (("a", array), ("b", other)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("x", data=content, chunks=chunks if name == "a" else None)
    for piece, row in ((1 << 14, 1 << 20), (500, 500)):
        monkeypatch.setattr(differing, "_PIECE", piece)
        monkeypatch.setattr(differing, "_ROW", row)
        (one,) = memdata.diff(tmp_path / "a.h5", tmp_path / "b.h5")
        assert (one.first, one.count, one.largest) == ((250, 7), 1, pytest.approx(1))
        assert memdata.equal(tmp_path / "a.h5", array_in_group(array))


def array_in_group(array):
    tree = MemGroup()
    tree.create_dataset("x", data=array)
    return tree


# ---- structure ----------------------------------------------------------------------------------


def test_what_is_missing_is_told_once(tree):
    other = copy.deepcopy(tree)
    del other["obs"]
    (one,) = memdata.diff(tree, other)
    assert (one.path, one.what) == ("/obs", "missing")
    assert "2 below" in one.text


def test_a_group_and_a_dataset_of_one_name(tree):
    other = copy.deepcopy(tree)
    del other["obs"]
    other.create_dataset("obs", data=1)
    assert found(tree, other) == [("/obs", "kind")]


def test_attributes_of_files_of_one_kind_have_types(tmp_path):
    for name, dtype in (("a", "i4"), ("b", "i8")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.attrs["n"] = np.dtype(dtype).type(3)
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    assert found(a, b) == [("/", "attribute")]
    assert memdata.equal(a, b, types=False)
    assert memdata.equal(a, b, attributes=False)


def test_hard_links_are_not_copies(tmp_path):
    for name in "ab":
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"] = np.arange(3)
            file["y"] = file["x"] if name == "a" else np.arange(3)
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    assert found(a, b) == [("/y", "link")]
    assert memdata.equal(a, b, links=False)
    assert memdata.equal(a, a)


def test_soft_links_are_what_they_lead_to_by_name(tmp_path):
    trees = []
    for name, target in (("a", "/x"), ("b", "/y")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["x"] = file["y"] = np.arange(3)
            file["link"] = h5py.SoftLink(target)
            file["lost"] = h5py.ExternalLink(f"{name}.h5", "/nowhere")
        trees.append(MemGroup.from_file(tmp_path / f"{name}.h5"))
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    assert found(a, b) == [("/link", "link"), ("/lost", "link")] == found(*trees)
    assert memdata.equal(a, trees[0])
    assert memdata.equal(a, b, links=False)


def test_filters_if_asked_for(tmp_path):
    for name, how in (("a", {}), ("b", {"compression": "gzip", "chunks": (2,)})):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("x", data=np.arange(9), **how)
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    assert memdata.equal(a, b)
    assert found(a, b, filters=True) == [("/x", "filters")]


# ---- what can be compared -----------------------------------------------------------------------


def test_every_kind_of_side(tree, tmp_path):
    path = as_kind(tree, "hdf5", tmp_path)
    store = as_kind(tree, "zarr", tmp_path)
    container = memdata.MemDiskGroup.from_file(path)
    with h5py.File(path) as file:
        sides = [tree, path, tmp_path / "x.h5", file, file["/"], store, zarr.open_group(store)]
        for side in [*sides, container]:
            assert memdata.equal(tree, side)
            assert memdata.equal(side, file)
        for side in [tree["obs"], file["obs"]]:
            assert memdata.equal(side, tree["obs"])
        for side in [tree["obs/time"], file["obs/time"]]:
            assert memdata.equal(side, file["obs/time"])
            assert memdata.equal(side, np.arange(5.0), attributes=False)
        assert found(file["obs"], file["obs/time"]) == [("/", "kind")]


@pytest.mark.parametrize("side", [None, 3, {"a": 1}], ids=repr)
def test_other_things_are_a_type_error(tree, side):
    with pytest.raises(TypeError, match=type(side).__name__):
        memdata.diff(tree, side)


def test_a_file_that_is_not_there(tree, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        memdata.equal(tree, tmp_path / "nothing.h5")


def test_equal_takes_only_rules(tree):
    with pytest.raises(TypeError, match="tolerance"):
        memdata.equal(tree, tree, tolerance=1)


def test_neither_side_is_changed(tree, tmp_path):
    path = as_kind(tree, "hdf5", tmp_path)
    before = (tmp_path / "x.h5").read_bytes()
    twin = copy.deepcopy(tree)
    memdata.diff(tree, path)
    assert (tmp_path / "x.h5").read_bytes() == before
    assert tree._get_storage() == twin._get_storage()


# ---- the command --------------------------------------------------------------------------------


def test_the_command_says_what_differs(tree, tmp_path, capsys):
    a = as_kind(tree, "hdf5", tmp_path, "a")
    tree["obs/time"][2] = 9
    b = as_kind(tree, "zarr", tmp_path, "b")
    assert main(["diff", a, a]) == 0
    assert not capsys.readouterr().out
    assert main(["diff", a, b]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == [f"--- {a}", f"+++ {b}"]
    assert told[2].startswith("/obs/time: 1 of 5 elements differs, at (2,): 2.0 and 9.0")
    assert main(["diff", "--quiet", a, b]) == 1
    assert not capsys.readouterr().out
    assert main(["diff", "--atol", "8", a, b]) == 0
    assert main(["diff", a, "nothing.h5"]) == 2
    assert "nothing.h5" in capsys.readouterr().err


def test_the_command_is_a_command(tree, tmp_path):
    a = as_kind(tree, "hdf5", tmp_path, "a")
    done = subprocess.run([sys.executable, "-m", "memdata", "diff", a, a], check=False, timeout=50)
    assert done.returncode == 0
