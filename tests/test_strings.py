"""Strings between memory and HDF5: parts 7, 11 and 12 of the behaviour page."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata import MemGroup
from support import assert_same_array, leftovers

ASCII = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=6)


def tree_of(data):
    tree = MemGroup()
    tree.create_dataset("a/s", data=data)
    return tree


@pytest.fixture
def path(tmp_path):
    return tmp_path / "strings.h5"


def write(path, data, dtype=None):
    with h5py.File(path, "w") as file:
        file.create_dataset("a/s", data=data, dtype=dtype)
    return path


class TestSavingUnicode:
    @pytest.mark.parametrize(
        "data",
        [np.array(["a", "bc"]), np.array("scalar"), np.zeros(2, [("n", "i4"), ("u", "U3")])],
        ids=str,
    )
    def test_is_a_type_error(self, path, data):
        with pytest.raises(TypeError, match="/a/s") as error:
            tree_of(data).to_hdf5(path)
        assert "convert_dataset_strings" in str(error.value)
        assert not leftovers(path.parent)

    @given(st.lists(ASCII, min_size=1, max_size=5))
    def test_becomes_ascii_byte_strings_where_asked(self, tmp_path_factory, texts):
        path = tmp_path_factory.getbasetemp() / "unicode.h5"
        data = np.array(texts)
        tree = tree_of(data)
        tree.to_hdf5(path, convert_dataset_strings=True)
        with h5py.File(path, "r") as file:
            stored = file["a/s"][:]
        assert stored.dtype.kind == "S"
        assert stored.dtype.itemsize == max(1, data.dtype.itemsize // 4)
        assert [text.decode() for text in stored.tolist()] == data.tolist()
        assert_same_array(tree["a/s"][...], data)

    def test_of_fields_becomes_byte_strings_where_asked(self, path):
        data = np.zeros(2, dtype=[("n", "i4"), ("in", [("u", "U3", (2,)), ("f", "f8")])])
        data["in"]["u"][1] = ["ab", "xyz"]
        data["n"] = [1, 2]
        tree_of(data).to_hdf5(path, convert_dataset_strings=True)
        with h5py.File(path, "r") as file:
            stored = file["a/s"][:]
        assert stored.dtype["in"]["u"].base == np.dtype("S3")
        assert stored["in"]["u"][1].tolist() == [b"ab", b"xyz"]
        assert stored["n"].tolist() == [1, 2]

    def test_that_is_not_ascii_is_an_error(self, path):
        with pytest.raises((ValueError, TypeError), match="/a/s"):
            tree_of(np.array(["a", "ä"])).to_hdf5(path, convert_dataset_strings=True)
        assert not leftovers(path.parent)

    @pytest.mark.parametrize("order", ["<", ">"])
    def test_of_either_byte_order(self, path, order):
        data = np.array(["ab", "c"]).astype(f"{order}U2")
        tree_of(data).to_hdf5(path, convert_dataset_strings=True)
        with h5py.File(path, "r") as file:
            assert file["a/s"][:].tolist() == [b"ab", b"c"]

    def test_chunks_and_compression_are_kept(self, path):
        tree = MemGroup()
        tree.create_dataset(
            "s", data=np.array(["ab"] * 100), chunks=(10,), compression="gzip", compression_opts=3
        )
        tree.to_hdf5(path, convert_dataset_strings=True)
        with h5py.File(path, "r") as file:
            assert file["s"].chunks == (10,)
            assert file["s"].compression == "gzip"
            assert file["s"].compression_opts == 3


class TestByteStrings:
    def test_stay_bytes(self, path):
        loaded = MemGroup.from_hdf5(write(path, np.array([b"ab", b"c"])))
        assert_same_array(loaded["a/s"][...], np.array([b"ab", b"c"]))

    def test_become_unicode_where_asked(self, path):
        write(path, np.array([[b"ab", b"c"], [b"", b"xyz"]]))
        loaded = MemGroup.from_hdf5(path, convert_dataset_strings=True)
        assert_same_array(loaded["a/s"][...], np.array([["ab", "c"], ["", "xyz"]]))

    def test_of_fields_become_unicode_where_asked(self, path):
        data = np.zeros(2, dtype=[("n", ">i4"), ("in", [("s", "S3", (2,)), ("f", "f8")])])
        data["in"]["s"][1] = [b"ab", b"xyz"]
        data["n"] = [1, 2]
        loaded = MemGroup.from_hdf5(write(path, data), convert_dataset_strings=True)
        found = loaded["a/s"]
        assert found.dtype["in"]["s"].base == np.dtype("U3")
        assert found.dtype["n"] == np.dtype(">i4")
        assert found["in"]["s"][1].tolist() == ["ab", "xyz"]
        assert found["n"].tolist() == [1, 2]

    def test_in_utf_8_are_decoded(self, path):
        write(path, np.array(["ä".encode(), b"b"]))
        loaded = MemGroup.from_hdf5(path, convert_dataset_strings=True)
        assert loaded["a/s"][...].tolist() == ["ä", "b"]

    def test_that_are_no_text_are_an_error_that_names_the_dataset(self, path):
        write(path, np.array([b"\xff\xfe", b"b"]))
        with pytest.raises((ValueError, UnicodeError), match="/a/s"):
            MemGroup.from_hdf5(path, convert_dataset_strings=True)

    @given(st.lists(ASCII.filter(lambda text: "\0" not in text), min_size=1, max_size=5))
    def test_there_and_back(self, tmp_path_factory, texts):
        path = tmp_path_factory.getbasetemp() / "bytes.h5"
        data = np.array(texts)
        tree_of(data).to_hdf5(path, convert_dataset_strings=True)
        loaded = MemGroup.from_hdf5(path, convert_dataset_strings=True)
        assert loaded["a/s"][...].tolist() == data.tolist()

    def test_a_selection_is_converted_too(self, path):
        write(path, np.array([b"ab", b"c", b"d"]))
        loaded = MemGroup.from_hdf5(
            path, convert_dataset_strings=True, selections={"a/s": np.s_[1:]}
        )
        assert loaded["a/s"][...].tolist() == ["c", "d"]


class TestVariableLength:
    TEXTS = ("a", "ä\N{SNOWMAN}", "", "x" * 300)

    def test_load_as_bytes_objects_as_h5py_reads_them(self, path):
        write(path, list(self.TEXTS), h5py.string_dtype())
        loaded = MemGroup.from_hdf5(path)["a/s"]
        with h5py.File(path, "r") as file:
            expected = file["a/s"][:]
        assert loaded.dtype == object
        assert h5py.check_string_dtype(loaded.dtype).length is None
        assert loaded[...].tolist() == expected.tolist()
        assert all(type(text) is bytes for text in loaded)

    def test_load_as_str_objects_where_asked(self, path):
        write(path, list(self.TEXTS), h5py.string_dtype())
        loaded = MemGroup.from_hdf5(path, convert_dataset_strings=True)["a/s"]
        assert loaded[...].tolist() == list(self.TEXTS)
        assert all(type(text) is str for text in loaded)

    @pytest.mark.parametrize("convert", [False, True])
    def test_are_saved_again_as_variable_length_strings(self, path, convert):
        write(path, list(self.TEXTS), h5py.string_dtype())
        loaded = MemGroup.from_hdf5(path, convert_dataset_strings=convert)
        loaded.to_hdf5(path.with_name("again.h5"), convert_dataset_strings=convert)
        with h5py.File(path.with_name("again.h5"), "r") as file:
            info = h5py.check_string_dtype(file["a/s"].dtype)
            assert info.length is None
            assert file["a/s"].asstr()[:].tolist() == list(self.TEXTS)

    def test_objects_that_are_all_str_are_saved_as_variable_length_strings(self, path):
        tree_of(np.array(self.TEXTS, dtype=object)).to_hdf5(path)
        with h5py.File(path, "r") as file:
            assert h5py.check_string_dtype(file["a/s"].dtype).length is None
            assert file["a/s"].asstr()[:].tolist() == list(self.TEXTS)

    def test_a_scalar(self, path):
        write(path, "text", h5py.string_dtype())
        assert MemGroup.from_hdf5(path)["a/s"][()] == b"text"
        assert MemGroup.from_hdf5(path, convert_dataset_strings=True)["a/s"][()] == "text"


class TestAttributes:
    def test_bytes_become_str_unless_told_otherwise(self, path):
        with h5py.File(path, "w") as file:
            file.attrs["b"] = np.bytes_(b"xy")
            file.attrs["l"] = np.array([b"x", b"yz"])
        loaded = MemGroup.from_hdf5(path)
        assert loaded.attrs["b"] == "xy"
        assert np.asarray(loaded.attrs["l"]).tolist() == ["x", "yz"]
        loaded = MemGroup.from_hdf5(path, convert_attribute_strings=False)
        assert loaded.attrs["b"] == b"xy"
        assert np.asarray(loaded.attrs["l"]).tolist() == [b"x", b"yz"]

    def test_text_stays_text(self, path):
        tree = MemGroup()
        tree.attrs["t"] = "ä\N{SNOWMAN}"
        tree.attrs["e"] = ""
        tree.to_hdf5(path)
        with h5py.File(path, "r") as file:
            assert file.attrs["t"] == "ä\N{SNOWMAN}"
        assert MemGroup.from_hdf5(path).attrs == tree.attrs

    def test_a_list_of_text_becomes_variable_length_strings(self, path):
        tree = MemGroup()
        tree.attrs["axis"] = ("freq", "ra")
        tree.to_hdf5(path)
        with h5py.File(path, "r") as file:
            assert file.attrs["axis"].tolist() == ["freq", "ra"]
            assert h5py.check_string_dtype(file.attrs.get_id("axis").dtype).length is None
        found = MemGroup.from_hdf5(path).attrs["axis"]
        assert list(found) == ["freq", "ra"]
        assert isinstance(found, np.ndarray)
        assert found.dtype == object

    def test_unicode_arrays_need_conversion(self, path):
        tree = MemGroup()
        tree.create_group("g").attrs["u"] = np.array(["freq", "ä"])
        with pytest.raises(TypeError, match="/g") as error:
            tree.to_hdf5(path, convert_attribute_strings=False)
        assert "u" in str(error.value)
        assert not leftovers(path.parent)
        tree.to_hdf5(path)
        with h5py.File(path, "r") as file:
            assert file["g"].attrs["u"].tolist() == ["freq", "ä"]
