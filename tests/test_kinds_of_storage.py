"""A container answers the same whether its data are in memory, in HDF5 or in a zarr store."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from memdata import MemDiskGroup
from support import assert_same_value

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs")  # zarr 3, of the shuffling

KINDS = ["memory", "hdf5", "zarr"]


@pytest.fixture(params=KINDS)
def container(request, tmp_path):
    """A filled container of each kind, open for writing."""
    if request.param == "memory":
        yield fill(MemDiskGroup())
        return
    if request.param == "zarr":
        pytest.importorskip("zarr")
    suffix = "h5" if request.param == "hdf5" else "zarr"
    with MemDiskGroup(tmp_path / f"file.{suffix}") as group:
        yield fill(group)


def fill(group):
    x = group.create_dataset(
        "a/x", data=np.arange(12.0).reshape(4, 3), chunks=(2, 3), maxshape=(None, None),
        compression="gzip", compression_opts=3, shuffle=True, fillvalue=7,
    )  # fmt: skip
    x.attrs["units"] = "K"
    group["a"].attrs["n"] = 3
    group.create_dataset("text", data=np.array([b"a", b"bb"]))
    group.create_dataset("scalar", data=5)
    group.create_dataset("table", data=np.array([(1, 2.5), (3, 4.5)], "i2,f4"))
    group.create_group("empty")
    return group


def collected(visit):
    found = []
    visit(lambda *given: found.append(given))
    return [(name, *(getattr(item, "shape", "group") for item in rest)) for name, *rest in found]


def does(action, answer):
    """What there is to see after something was done."""

    def run(group):
        action(group)
        return answer(group)

    return run


def read(source, dest):
    def run(group):
        out = np.zeros((3, 3))
        group["a/x"].read_direct(out, source, dest)
        return out

    return run


ANSWERS = {
    # groups
    "names": (lambda g: sorted(g), ["a", "empty", "scalar", "table", "text"]),
    "len": (len, 5),
    "in": (lambda g: ["a/x" in g, "a/y" in g, "text/x" in g], [True, False, False]),
    "get": (lambda g: [g.get("q"), g.get("q", 1), g.get("a/x").shape], [None, 1, (4, 3)]),
    "getlink": (lambda g: type(g.get("a", getlink=True)).__name__, "HardLink"),
    "getlink class": (lambda g: g.get("a", getclass=True, getlink=True), h5py.HardLink),
    "getlink missing": (lambda g: g.get("q", 1, getlink=True), 1),
    "getclass": (lambda g: g.get("a", getclass=True), MemDiskGroup),
    "parent": (lambda g: [g["a"].parent.name, g["a"].file.name], ["/", "/"]),
    "set array": (lambda g: does(lambda g: g.update(n=np.arange(3)), lambda g: g["n"][:])(g), np.arange(3)),
    "set list": (lambda g: does(lambda g: g.update(n=[1, 2]), lambda g: g["n"][:])(g), np.array([1, 2])),
    "set scalar": (does(lambda g: g.update(n=2.5), lambda g: g["n"][()]), 2.5),
    "set dataset": (does(lambda g: g.update(n=g["a/x"]), lambda g: [g["n"].shape, g["n"].attrs["units"]]), [(4, 3), "K"]),
    "set group": (does(lambda g: g.update(n=g["a"]), lambda g: [sorted(g["n"]), int(g["n"].attrs["n"])]), [["x"], 3]),
    "setdefault": (lambda g: g.setdefault("n", np.arange(2)).shape, (2,)),
    "pop": (does(lambda g: g.pop("text"), lambda g: "text" in g), False),
    "pop default": (lambda g: g.pop("q", 3), 3),
    "clear": (does(lambda g: g.clear(), len), 0),
    "delete": (does(lambda g: g.__delitem__("a/x"), lambda g: sorted(g["a"])), []),
    "move": (does(lambda g: g.move("a/x", "b/y"), lambda g: [sorted(g["a"]), g["b/y"][3, 2], g["b/y"].attrs["units"]]), [[], 11.0, "K"]),
    "move group": (does(lambda g: g.move("a", "b"), lambda g: ["a" in g, sorted(g["b"])]), [False, ["x"]]),
    "visit": (lambda g: collected(g.visit), [("a",), ("a/x",), ("empty",), ("scalar",), ("table",), ("text",)]),
    "visititems": (lambda g: collected(g["a"].visititems), [("x", (4, 3))]),
    "visit_links": (lambda g: collected(g.visit_links), [("a",), ("a/x",), ("empty",), ("scalar",), ("table",), ("text",)]),
    "require group": (lambda g: [g.require_group("a").name, g.require_group("q/r").name], ["/a", "/q/r"]),
    "require dataset": (lambda g: g.require_dataset("a/x", (4, 3), "f8")[1, 1], 4.0),
    "create": (lambda g: g.create_dataset("n", (4,), "f4", chunks=(2,), fillvalue=3, fletcher32=True)[:], np.full(4, 3, "f4")),
    "create like": (lambda g: (lambda d: [d.shape, d.chunks, d.compression])(g.create_dataset_like("n", g["a/x"])), [(4, 3), (2, 3), "gzip"]),
    "reference": (lambda g: g[g["a/x"].ref].shape, (4, 3)),
    "copy": (lambda g: sorted(g.copy()["a"]), ["x"]),
    "to_memory": (lambda g: g.to_memory()["a/x"][1, 2], 5.0),
    # attributes
    "attribute": (lambda g: [g["a/x"].attrs["units"], int(g["a"].attrs["n"]), g["a"].attrs.get("q", 4)], ["K", 3, 4]),
    "attribute in": (lambda g: ["n" in g["a"].attrs, "q" in g["a"].attrs, len(g["a"].attrs)], [True, False, 1]),
    "attribute set": (does(lambda g: g.attrs.update(k=[1, 2]), lambda g: list(map(int, g.attrs["k"]))), [1, 2]),
    "attribute delete": (does(lambda g: g["a"].attrs.__delitem__("n"), lambda g: dict(g["a"].attrs)), {}),
    # datasets
    "shape": (lambda g: (lambda d: [d.shape, d.ndim, d.size, d.nbytes, len(d), d.len()])(g["a/x"]), [(4, 3), 2, 12, 96, 4, 4]),
    "name": (lambda g: [g["a/x"].name, g["a/x"].parent.name, g["a/x"].file.name], ["/a/x", "/a", "/"]),
    "stored": (lambda g: (lambda d: [d.chunks, d.compression, d.compression_opts, d.shuffle, d.fletcher32, d.scaleoffset])(g["a/x"]), [(2, 3), "gzip", 3, True, False, None]),
    "more": (lambda g: [g["a/x"].maxshape, float(g["a/x"].fillvalue), g["a/x"].is_virtual, g["scalar"].shape], [(None, None), 7.0, False, ()]),
    "true": (lambda g: bool(g["scalar"]), True),
    "whole": (lambda g: [g["a/x"][...].shape, int(g["scalar"][()]), g["scalar"][...].shape], [(4, 3), 5, ()]),
    "index": (lambda g: [g["a/x"][1, 2], g["a/x"][-1, 0], g["a/x"][1:3, ::2].shape, g["a/x"][[0, 2]].shape], [5.0, 9.0, (2, 2), (2, 3)]),
    "mask": (lambda g: g["a/x"][g["a/x"][:] > 9], np.array([10.0, 11.0])),
    "blocks": (lambda g: g["a/x"][h5py.MultiBlockSlice(stride=2, count=2), 0], np.array([0.0, 6.0])),
    "field": (lambda g: [g["table"]["f0"].tolist(), g["table"].fields("f1")[1]], [[1, 3], 4.5]),
    "set": (does(lambda g: g["a/x"].__setitem__((0, slice(None)), 7), lambda g: g["a/x"][0]), np.full(3, 7.0)),
    "iterate": (lambda g: [float(row.sum()) for row in g["a/x"]], [3.0, 12.0, 21.0, 30.0]),
    "iter_chunks": (lambda g: len(list(g["a/x"].iter_chunks())), 2),
    "astype": (lambda g: g["a/x"].astype("i4")[0], np.arange(3, dtype="i4")),
    "asstr": (lambda g: g["text"].asstr()[:].tolist(), ["a", "bb"]),
    "read_direct": (read(np.s_[1:3], np.s_[0:2]), np.array([[3.0, 4, 5], [6, 7, 8], [0, 0, 0]])),
    "write_direct": (does(lambda g: g["a/x"].write_direct(np.ones(3), None, np.s_[1]), lambda g: g["a/x"][:2].sum()), 6.0),
    "resize": (does(lambda g: g["a/x"].resize(5, axis=0), lambda g: [g["a/x"].shape, g["a/x"][4, 0]]), [(5, 3), 7.0]),
    "resize all": (does(lambda g: g["a/x"].resize((2, 2)), lambda g: g["a/x"][:]), np.array([[0.0, 1], [3, 4]])),
    "flush": (lambda g: [g["a/x"].flush(), g["a/x"].refresh(), g.flush()], [None, None, None]),
    "numpy": (lambda g: [np.asarray(g["a/x"], "f4").dtype.name, float(np.mean(g["a/x"])), float(np.add(g["a/x"], 1).sum())], ["float32", 5.5, 78.0]),
    "equal": (lambda g: [g["a"] == g["a"], g["a/x"] == g["a/x"], hash(g["a"]) == hash(g["a"])], [True, True, True]),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(container, name):
    ask, expected = ANSWERS[name]
    assert_same_value(ask(container), expected)


ERRORS = {
    "missing": (lambda g: g["q/r"], KeyError, "/q/r is missing"),
    "through a dataset": (lambda g: g["text/x"], KeyError, "/text/x is missing"),
    "delete": (lambda g: g.__delitem__("q"), KeyError, "/q is missing"),
    "pop": (lambda g: g.pop("q"), KeyError, "/q is missing"),
    "taken": (lambda g: g.__setitem__("text", 1), ValueError, "/text is already there"),
    "create through": (lambda g: g.create_group("text/x"), ValueError, "/text"),
    "no shape": (lambda g: g.create_dataset("n"), ValueError, "/n: .*needs a shape or data"),
    "keyword": (lambda g: g.create_dataset("n", (1,), foo=1), TypeError, "foo"),
    "require group": (lambda g: g.require_group("text"), TypeError, "text"),
    "require dataset": (lambda g: g.require_dataset("a", (1,), "f8"), TypeError, "a"),
    "require shape": (lambda g: g.require_dataset("a/x", (4,), "f8"), TypeError, "shape"),
    "move missing": (lambda g: g.move("q", "r"), KeyError, "/q is missing"),
    "move taken": (lambda g: g.move("a", "text"), ValueError, "already there"),
    "move into itself": (lambda g: g.move("a", "a/b"), ValueError, "into itself"),
    "attribute": (lambda g: g.attrs["q"], KeyError, "q"),
    "index": (lambda g: g["a/x"][9], IndexError, "9|out of bounds"),
    "no strings": (lambda g: g["a/x"].asstr()[:], TypeError, "string"),
    "read_direct": (lambda g: g["a/x"].read_direct(np.zeros((3, 2))), TypeError, "broadcast"),
    "scalar len": (lambda g: len(g["scalar"]), TypeError, "len"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(container, name):
    ask, kind, message = ERRORS[name]
    before = sorted(container), container["a/x"][:].sum()
    with pytest.raises(kind, match=message):
        ask(container)
    assert (sorted(container), container["a/x"][:].sum()) == before


def test_what_zarr_has_not_is_refused_with_its_name(tmp_path):
    pytest.importorskip("zarr")
    with MemDiskGroup(tmp_path / "file.zarr") as group:
        with pytest.raises(TypeError, match="/n: a zarr store has no links"):
            group["n"] = h5py.SoftLink("/a")
        with pytest.raises(TypeError, match="/n: a zarr store has no named types"):
            group["n"] = np.dtype("f4")
        assert list(group) == []


def test_datasets_of_a_store_are_zarrs():
    zarr = pytest.importorskip("zarr")
    store = zarr.open_group(zarr.storage.MemoryStore(), mode="w")
    container = fill(MemDiskGroup(store))
    assert isinstance(container["a/x"], zarr.Array)
    assert container["a/x"] == store["a/x"]
    assert container["a/x"].fill_value == 7
