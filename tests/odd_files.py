"""HDF5 files with all that h5py can write, and with what only other programs do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5p, h5s, h5t, h5z

BIG = 30_000  # elements: more bytes than are read together with a header

Writer = Callable[[Path], None]
WRITERS: dict[str, Writer] = {}


def writer(function: Callable[[Any], None]) -> Callable[[Any], None]:
    """Registers what fills an open file."""

    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            function(file)

    WRITERS[function.__name__.replace("_", " ")] = write
    return function


@writer
def dimension_scales(file: Any) -> None:
    time = file.create_dataset("time", data=np.arange(4.0))
    place = file.create_dataset("sub/place", data=np.arange(3, dtype="i2"))
    data = file.create_dataset("sub/data", data=np.zeros((4, 3)), chunks=(2, 3))
    other_first = file.create_dataset("first", data=np.zeros(4), track_order=True)
    other_first.dims[0].attach_scale(file["time"])
    other_first.attrs["units"] = "K"
    time.make_scale("the time")
    place.make_scale()
    data.dims[0].label = "t"
    data.dims[0].attach_scale(time)
    data.dims[1].attach_scale(place)
    other = file.create_dataset("other", data=np.zeros(4))
    other.dims[0].attach_scale(time)


@writer
def links_of_all_kinds(file: Any) -> None:
    file["a/x"] = np.arange(5)
    file["a/again"] = file["a/x"]
    file["b/loop"] = file["/"]
    file["b/self"] = file["b"]
    file["soft"] = h5py.SoftLink("/a/x")
    file["a/relative"] = h5py.SoftLink("../a/x")
    file["dangling"] = h5py.SoftLink("/no/thing")
    file["circle"] = h5py.SoftLink("/circle")
    file["external"] = h5py.ExternalLink("other.h5", "/y/z")
    file["grün"] = h5py.SoftLink("/ä/ö")


@writer
def named_types(file: Any) -> None:
    file["z type"] = np.dtype([("a", "i4"), ("b", ">f8", 3)])
    file["z type"].attrs["note"] = "a committed type"
    file["z type"].attrs["n"] = np.int16(3)
    data = file.create_dataset("data", (3,), dtype=file["z type"])
    data[1] = (5, [1, 2, 3])
    file.create_dataset("group/big", (BIG,), dtype=file["z type"])
    file["alone/number"] = np.dtype("<i2")
    file["again"] = file["z type"]


@writer
def creation_properties(file: Any) -> None:
    make = file.create_dataset
    x = np.arange(1000)
    make("fill", (5,), "f4", fillvalue=-1.5)[1:3] = 7
    make("fill text", (2,), h5py.string_dtype(), fillvalue="none")
    make("fill bytes", (2,), "S6", fillvalue=b"none")
    make("fill record", (2,), [("a", "i4"), ("b", "f8")], fillvalue=np.array((1, 2.5), "i4,f8"))
    make("fill enum", (2,), h5py.enum_dtype({"A": 0, "B": 5}, "i1"), fillvalue=5)
    make("fill bool", (2,), "?", fillvalue=True)
    make("fill zero", (2,), "i4", fillvalue=0)
    make("fill big", (BIG,), "f8", fillvalue=3.25)[5:10] = 1
    make("resizable", data=x, maxshape=(None,))
    make("wide chunks", data=x[:5], maxshape=(None,), chunks=(100,))
    for chunk in (42, 40, 41):
        make(f"chunks of {chunk}", data=x[:40], maxshape=(None,), chunks=(chunk,))
    make("bounded", data=x.reshape(10, 100), maxshape=(20, 100), chunks=(5, 50))
    make("empty", (0, 3), "f8", maxshape=(None, 3), chunks=(16, 3))
    make("gzip shuffle", data=x, chunks=(100,), compression="gzip", shuffle=True)
    make("lzf", data=x, chunks=(300,), compression="lzf")
    make("fletcher", data=x, chunks=(300,), fletcher32=True)
    make("only shuffle", data=x, chunks=(300,), shuffle=True)
    make("scaled", data=x, chunks=(300,), scaleoffset=10)
    make("scaled floats", data=x / 7, chunks=(300,), scaleoffset=2, compression="gzip")
    make("szip", data=x, chunks=(300,), compression="szip", compression_opts=("ec", 16))
    make("tracked", data=x, track_order=True).attrs["z"] = 1
    file["tracked"].attrs["a"] = 1
    for name, when in [("alloc", h5d.FILL_TIME_ALLOC), ("never", h5d.FILL_TIME_NEVER)]:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_fill_time(when)
        space = h5s.create_simple((4,))
        h5d.create(file.id, name.encode(), h5t.IEEE_F64LE, space, plist).write(
            h5s.ALL, h5s.ALL, np.arange(4.0)
        )


@writer
def pipelines_without_keywords(file: Any) -> None:
    pipelines = {
        "shuffle last": [(h5z.FILTER_DEFLATE, 1, (3,)), (h5z.FILTER_SHUFFLE, 1, ())],
        "checksum first": [(h5z.FILTER_FLETCHER32, 0, ()), (h5z.FILTER_DEFLATE, 1, (3,))],
        "twice": [(h5z.FILTER_DEFLATE, 1, (9,)), (h5z.FILTER_LZF, 1, ())],
        "mandatory": [(h5z.FILTER_DEFLATE, 0, (5,))],
        "nbit": [(h5z.FILTER_NBIT, 1, ())],
    }
    for name, pipeline in pipelines.items():
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk((50, 20))
        for code, flags, values in pipeline:
            plist.set_filter(code, flags, values)
        space = h5s.create_simple((100, 20))
        made = h5d.create(file.id, name.encode(), h5t.STD_I32LE, space, plist)
        made.write(h5s.ALL, h5s.ALL, np.arange(2000, dtype="i4").reshape(100, 20))
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_layout(h5d.COMPACT)
    made = h5d.create(file.id, b"compact", h5t.STD_I32LE, h5s.create_simple((7,)), plist)
    made.write(h5s.ALL, h5s.ALL, np.arange(7, dtype="i4"))


_RECORD = np.dtype(
    {"names": ["text", "n"], "formats": ["S3", "i4"], "offsets": [0, 4], "itemsize": 8}
)


def _odd_types() -> dict[str, tuple[Any, Any]]:
    """HDF5 types that h5py reads and does not write, with elements for them."""
    fixed = h5t.C_S1.copy()
    fixed.set_size(6)
    fixed.set_strpad(h5t.STR_NULLTERM)
    full = h5t.C_S1.copy()  # as netCDF-4 writes text: nothing ends it
    full.set_size(3)
    record = h5t.create(h5t.COMPOUND, 8)
    record.insert(b"text", 0, full)
    record.insert(b"n", 4, h5t.STD_I32LE)
    spaces = h5t.FORTRAN_S1.copy()
    spaces.set_size(6)
    spaces.set_strpad(h5t.STR_SPACEPAD)
    utf8 = h5t.C_S1.copy()
    utf8.set_size(6)
    utf8.set_cset(h5t.CSET_UTF8)
    narrow = h5t.STD_I32BE.copy()
    narrow.set_precision(20)
    brain = h5t.IEEE_F32LE.copy()
    brain.set_fields(15, 7, 8, 0, 7)
    brain.set_size(2)
    brain.set_precision(16)
    brain.set_ebias(127)
    text = np.array([b"abc", b"", b"x"])
    numbers = np.array([1, 2, -3], "i4")
    return {
        "null terminated": (fixed, text),
        "full": (full, np.array([b"abc", b"de", b"xyz"])),
        "full in a record": (
            record,
            np.array([(b"abc", 1), (b"de", 2), (b"xyz", 3)], _RECORD),
        ),
        "space padded": (spaces, np.array([b"abc   ", b"      ", b"x     "])),
        "utf-8": (utf8, text),
        "20 bits": (narrow, numbers),
        "brain float": (brain, numbers.astype("f4")),
        "bits": (h5t.STD_B16LE, np.array([1, 2, 3], "u2")),
        "array": (h5t.array_create(h5t.IEEE_F64BE, (2,)), np.arange(6, dtype=">f8").reshape(3, 2)),
    }


_AS_THEY_ARE = {"array", "bits", "full", "full in a record"}


@writer
def types_of_other_programs(file: Any) -> None:
    for name, (type_id, data) in _odd_types().items():
        space = h5s.create_simple((3,))
        made = h5d.create(file.id, name.encode(), type_id, space)
        memory = type_id if name in _AS_THEY_ARE else h5t.py_create(data.dtype)
        if name == "utf-8":
            memory = h5t.py_create(h5py.string_dtype("utf-8", 3))
        made.write(h5s.ALL, h5s.ALL, data, memory)
        attribute = h5py.h5a.create(file.id, name.encode(), type_id, space)
        attribute.write(data, memory)
        scalar = h5py.h5a.create(made, b"one", type_id, h5s.create(h5s.SCALAR))
        scalar.write(data[:1].reshape(data.shape[1:]).copy(), memory)


@writer
def attributes_with_types(file: Any) -> None:
    for name in "bBhHiIqQefdgFDG?":
        file.attrs["scalar " + name] = np.dtype(name).type(1)
        file.attrs["array " + name] = np.ones(3, name)
        if name not in "?bB":
            swapped = np.dtype(name).newbyteorder(">")
            file.attrs.create("swapped " + name, np.ones((), swapped), dtype=swapped)
    file.attrs["text"] = "grün"
    file.attrs["long text"] = "x" * 5000
    file.attrs["empty text"] = ""
    file.attrs["bytes"] = np.bytes_(b"abc")
    file.attrs.create("fixed", np.array(b"ab"), dtype="S9")
    file.attrs.create("ascii", "text", dtype=h5py.string_dtype("ascii"))
    file.attrs["texts"] = np.array(["a", "bü"], object)
    file.attrs["byte strings"] = np.array([b"a", b"bcd"])
    file.attrs["looks encoded"] = '!!_memh5_json:{"a":1,  "b":[2]}'
    file.attrs["looks broken"] = "!!_memh5_json:{"
    file.attrs["void"] = np.void(b"\0\1\2")
    file.attrs["record"] = np.array((1, 2.5), "i2,f4")
    file.attrs["nothing"] = h5py.Empty("f4")
    file.attrs["no text"] = h5py.Empty(h5py.string_dtype())
    file.attrs["no elements"] = np.zeros((0, 3), "i2")
    file.attrs["one element"] = np.ones((1,), "i2")
    file.attrs["when"] = np.array([5], "M8[s]").astype(h5py.opaque_dtype("M8[s]"))
    file.attrs.create("enum", 1, dtype=h5py.enum_dtype({"A": 0, "B": 1}, "i2"))
    file.attrs.create(
        "ragged", np.array([np.arange(3), np.arange(2)], object), dtype=h5py.vlen_dtype("i4")
    )
    file.attrs["reference"] = file.create_group("g").ref
    file.attrs["references"] = np.array([file.ref, file["g"].ref], h5py.ref_dtype)


@writer
def references_of_all_kinds(file: Any) -> None:
    x = file.create_dataset("x", data=np.arange(20).reshape(4, 5))
    file.create_group("g")
    objects = file.create_dataset("objects", (3,), dtype=h5py.ref_dtype)
    objects[0], objects[1] = x.ref, file["g"].ref
    regions = file.create_dataset("regions", (2,), dtype=h5py.regionref_dtype)
    regions[0] = x.regionref[1:3, ::2]
    record = np.dtype([("to", h5py.ref_dtype), ("n", "i4")])
    records = file.create_dataset("records", (2,), dtype=record)
    records[0] = (x.ref, 5)


@writer
def order_of_creation(file: Any) -> None:
    group = file.create_group("tracked", track_order=True)
    for name in "zay":
        group[name] = 1
        group.attrs[name] = 2
    group["z"].attrs["b"] = 1


@writer
def spaces(file: Any) -> None:
    file["scalar"] = 5
    file["text"] = "grün"
    file["null"] = h5py.Empty("f4")
    file["null"].attrs["n"] = np.int8(1)
    file["zero"] = np.zeros((3, 0, 2), "i2")
    file["one"] = np.zeros((1,))


def virtual(path: Path) -> None:
    """Virtual datasets of the same file, one of another by way of its name."""
    with h5py.File(path, "w") as file:
        file["a/x"] = np.arange(10)
        file["soft"] = h5py.SoftLink("a/x")
        for name, source in {
            "virtual": "a/x",
            "by a link": "/soft",
            "of virtual": "virtual",
        }.items():
            layout = h5py.VirtualLayout((2, 10), "i8")
            shape = (2, 10) if source == "virtual" else (10,)
            place = slice(None) if source == "virtual" else 0
            layout[place] = h5py.VirtualSource(".", source, shape)
            file.create_virtual_dataset(name, layout, fillvalue=-1)


WRITERS["virtual datasets"] = virtual


def outside(path: Path) -> None:
    """Datasets that take their elements from other files, in each way that HDF5 has."""
    with h5py.File(path.with_name("part.h5"), "w") as file:
        file["x"] = np.arange(10)
    with h5py.File(path, "w") as file:
        file["inside"] = np.arange(10)
        where = [(str(path.with_name("outside.bin")), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("external", data=np.arange(10), external=where)
        file["far"] = h5py.ExternalLink("part.h5", "/")
        file["way"] = h5py.SoftLink("/far/x")
        sources = {
            "virtual": ("part.h5", "x"),
            "absolute": (path.with_name("part.h5"), "x"),
            "of external": (".", "external"),
            "of virtual": (".", "virtual"),
            "through a link": (".", "far/x"),
            "through two links": (".", "way"),
        }
        for name, (other, inside) in sources.items():
            layout = h5py.VirtualLayout((2, 10), "i8")
            layout[0] = h5py.VirtualSource(".", "inside", (10,))
            shape = (2, 10) if inside == "virtual" else (10,)
            part = h5py.VirtualSource(other, inside, shape)
            layout[1] = part[1] if inside == "virtual" else part
            file.create_virtual_dataset(name, layout, fillvalue=-1)


@writer
def bytes_as_they_are(file: Any) -> None:
    """Texts that end with a NUL or fill their bytes, bit fields, opaque bytes with a mark."""
    text = h5t.C_S1.copy()
    text.set_size(3)
    blob = h5t.create(h5t.OPAQUE, 2)
    blob.set_tag(b"a mark")
    members = [(b"z", text), (b"bits", h5t.STD_B16BE), (b"a", text), (b"blob", blob)]
    record = h5t.create(h5t.COMPOUND, sum(kind.get_size() for _name, kind in members))
    offset = record.get_size()
    for name, kind in members:  # not in the order of their places
        offset -= kind.get_size()
        record.insert(name, offset, kind)
    data = np.frombuffer(bytes(range(1, 1 + 4 * record.get_size())), f"V{record.get_size()}")
    arrays = h5t.array_create(h5t.array_create(h5t.STD_I16BE, (3, 2)), (4,))
    for name, kind, values in [
        ("record", record, data),
        ("text", text, np.array([b"abc", b"d", b""], "S3")),
        ("blob", blob, np.frombuffer(b"abcdef", "V2")),
        ("bits", h5t.STD_B32LE, np.arange(4, dtype="u4")),
        ("arrays of arrays", arrays, np.arange(48, dtype=">i2").reshape(2, 4, 3, 2)),
    ]:
        space = h5s.create_simple(values.shape[:1])
        dataset = h5d.create(file.id, name.encode(), kind, space)
        dataset.write(h5s.ALL, h5s.ALL, values, kind)
        attribute = h5a.create(dataset, b"the same", kind, space)
        attribute.write(values, kind)
        h5a.create(dataset, b"none", kind, h5s.create(h5s.NULL))


def _named_type_of_attributes(file: Any, kind: Any, value: Any, other: Any) -> None:
    """Attributes of a named type, and of two that have lost their names."""
    file["kinds/kind"] = kind
    file.attrs.create("one", value, dtype=file["kinds/kind"])
    data = file.create_dataset("data", (3,), file["kinds/kind"])
    for name in ("first", "second"):
        file["gone"] = kind
        file.create_dataset(f"of the {name} lost type", (2,), file["gone"])
        data.attrs.create(name, value, dtype=file["gone"])
        data.attrs.create(f"{name} again", other, dtype=file["gone"])
        del file["gone"]


@writer
def named_types_of_attributes(file: Any) -> None:
    _named_type_of_attributes(file, np.dtype(">i2"), 7, 8)
    file["kinds/kind"].attrs.create("itself", [1, 2], (2,), file["kinds/kind"])


@writer
def named_types_of_text(file: Any) -> None:
    _named_type_of_attributes(file, h5py.string_dtype(), "a", "b")


@writer
def attributes_in_order_members_not(file: Any) -> None:
    plist = h5p.create(h5p.GROUP_CREATE)
    plist.set_attr_creation_order(h5p.CRT_ORDER_TRACKED)
    group = h5py.Group(h5g.create(file.id, b"group", gcpl=plist))
    for name in "cab":
        group.attrs[name] = 1
        group.create_group(name)


def without_fill_value(path: Path) -> None:
    """Files of HDF5 1.4: no fill value, not even zero. The headers of such have no checksum."""
    with h5py.File(path, "w", libver=("earliest", "latest")) as file:
        file.create_dataset("some", data=np.arange(5, dtype="i4"))
        file.create_dataset("text", data=["a", "b"])
        file.create_dataset("nothing", (0,), "f8")
        file.create_dataset("few chunks", (1000,), "f8", chunks=(100,))[150:160] = 1
    content = bytearray(path.read_bytes())
    message = b"\x05\0\x08\0\x01\0\0\0\x02"
    found = content.find(message)
    while found >= 0:
        content[found + 8 + 2 : found + 8 + 4] = b"\x02\0"  # if set; undefined
        found = content.find(message, found + 1)
    path.write_bytes(content)
    with h5py.File(path) as file:
        for name in file:
            assert file[name].id.get_create_plist().fill_value_defined() == 0


WRITERS["without fill value"] = without_fill_value


@writer
def links_between_members(file: Any) -> None:
    """Groups that keep the order of their names, in which links stand first and between."""
    group = file.create_group("ordered", track_order=True)
    group["z soft"] = h5py.SoftLink("m")
    group["x"] = np.arange(3)
    group["b again"] = group["x"]
    group["a external"] = h5py.ExternalLink("other.h5", "/y")
    inner = group.create_group("m", track_order=True)
    inner["up"] = group
    inner["type"] = np.dtype("<i4")
    inner["a"] = group["x"]
    group["again"] = inner
    file["first"] = group["x"]
    file["a"] = h5py.SoftLink("/ordered")


@writer
def attributes_of_text(file: Any) -> None:
    """Text of every type that HDF5 has, as one value, an array, and no value at all."""
    for length in (None, 5):
        for set_number, encoding in ((h5t.CSET_ASCII, "ascii"), (h5t.CSET_UTF8, "utf-8")):
            for pad in (h5t.STR_NULLTERM, h5t.STR_NULLPAD, h5t.STR_SPACEPAD):
                type_id = h5t.C_S1.copy()
                type_id.set_size(h5t.VARIABLE if length is None else length)
                type_id.set_cset(set_number)
                type_id.set_strpad(pad)
                name = f"{length} {encoding} {pad}"
                for shape in ((), (2,), (1, 2), (0, 3)):
                    text = ("ab" if encoding == "ascii" else "ü").encode()
                    data = np.full(shape, text, object if length is None else "S5")
                    space = h5s.create_simple(shape) if shape else h5s.create(h5s.SCALAR)
                    made = h5py.h5a.create(file.id, f"{name} {shape}".encode(), type_id, space)
                    if data.size:
                        made.write(data, type_id)
                h5py.h5a.create(file.id, f"{name} null".encode(), type_id, h5s.create(h5s.NULL))
    for encoding in ("ascii", "utf-8"):
        text = h5py.string_dtype(encoding, 5)
        file.create_dataset(f"fixed {encoding}", data=np.array([b"a", b"bc"], text))
        record = np.dtype([("n", "i4"), ("text", text)])
        file.create_dataset(f"record {encoding}", data=np.zeros(2, record))
        file.create_dataset(f"many {encoding}", data=np.zeros(BIG, text))
    file.attrs["no text"] = np.bytes_(b"\xff\xfe")
    file.attrs["none of them text"] = np.array([b"\xff", b"a"])
