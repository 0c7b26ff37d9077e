"""Errors say what was given, what is expected, and what to do next."""

import sys

import h5py
import numpy as np
import pytest

import memdata
from memdata import MemDiskGroup, MemGroup
from memdata.suggesting import did_you_mean, installed_by, no_such_file


@pytest.fixture
def night(tmp_path, monkeypatch):
    """A tree, and its file night.h5 in an empty folder."""
    monkeypatch.chdir(tmp_path)
    tree = MemGroup()
    tree.create_dataset("obs/vis", data=np.zeros((4, 6)))
    tree["obs/flags"] = np.zeros(4)
    tree.to_hdf5("night.h5")
    return tree


class TestMissingNames:
    @pytest.mark.parametrize(
        ("path", "meant"),
        [
            ("obs/viss", "vis"),
            ("obs/vs", "vis"),
            ("obs/ivs", "vis"),
            ("obs/fligs", "flags"),
            ("obz/vis", "obs"),
            ("/obs/vis_", "vis"),
        ],
    )
    def test_a_name_that_is_close_is_told(self, night, path, meant):
        with pytest.raises(KeyError, match=f"is missing: there is no .*; did you mean '{meant}'"):
            night[path]
        with pytest.raises(KeyError, match=f"did you mean '{meant}'"):
            del night[path]

    @pytest.mark.parametrize("path", ["obs/other", "obs/v", "x", "obs/visits"])
    def test_what_is_not_close_is_not(self, night, path):
        with pytest.raises(KeyError, match="is missing") as caught:
            night[path]
        assert "did you mean" not in str(caught.value)

    def test_names_below_a_dataset(self, night):
        with pytest.raises(KeyError, match="there is no 'x' in the dataset /obs/vis"):
            night["obs/vis/x"]

    def test_in_a_group_below_a_link(self, night):
        night["link"] = h5py.SoftLink("/obs")
        with pytest.raises(KeyError, match="no 'vix' in the group /link; did you mean 'vis'"):
            night["link/vix"]

    def test_selections_of_what_is_not_there(self, night):
        with pytest.raises(ValueError, match="/obs/viss; did you mean '/obs/vis'"):
            MemGroup.from_hdf5("night.h5", selections={"obs/viss": slice(2)})


class TestMissingFiles:
    @pytest.mark.parametrize(
        "load",
        [
            MemGroup.from_hdf5,
            MemGroup.from_file,
            MemDiskGroup.from_file,
            lambda name: memdata.File(name, "r"),
        ],
        ids=["from_hdf5", "from_file", "container", "File"],
    )
    def test_one_that_is_like_it_is_told(self, night, load):
        with pytest.raises(
            FileNotFoundError, match=r"did you mean 'night\.h5'.*nigth\.h5"
        ) as caught:
            load("nigth.h5")
        assert caught.value.filename in {"nigth.h5", None}

    def test_a_missing_folder(self, night, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no folder 'none'"):
            MemGroup.from_hdf5("none/night.h5")
        with pytest.raises(FileNotFoundError, match=r"no such folder; make it first.*none"):
            night.to_hdf5("none/night.h5")

    def test_nothing_is_like_it(self, night):
        assert str(no_such_file("x.txt")) == "[Errno 2] No such file or directory: 'x.txt'"


class TestMissingPackages:
    def test_the_part_that_brings_it_is_told(self, night, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'memdata\[plot\]'") as caught:
            night["obs/vis"].plot()
        assert caught.value.name == "matplotlib"

    def test_errors_of_other_kinds_stay(self):
        with pytest.raises(ZeroDivisionError), installed_by("plot"):
            _ = 1 / 0


class TestWrongWords:
    def test_compression(self, night):
        night.create_dataset("x", data=np.zeros(9), chunks=(3,), compression="gzp")
        with pytest.raises(ValueError, match=r"/x: .* no compression 'gzp'; did you mean 'gzip'"):
            night.to_hdf5("x.h5")

    def test_a_file_that_is_read_only(self, night):
        with (
            memdata.File("night.h5", "r") as file,
            pytest.raises(ValueError, match=r"mode 'r'; 'r\+' lets it be changed"),
        ):
            file.create_group("x")

    def test_an_axis_that_a_class_does_not_know(self, night):
        with (
            pytest.warns(UserWarning, match="_make_selections"),
            pytest.raises(ValueError, match=r"selections={path: index} selects of any dataset"),
        ):
            MemDiskGroup.from_file("night.h5", freq_sel=slice(2))

    def test_names_that_are_like_it(self):
        assert did_you_mean("fre", ["freq", "time"]) == "; did you mean 'freq'?"
        assert did_you_mean("pol", ["freq", "time"]) == ""
