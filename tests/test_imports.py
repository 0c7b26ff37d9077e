"""Part 1 of the behaviour page: public names, and what importing them brings along."""

from __future__ import annotations

import sys
import types

import pytest

import memdata
from memdata import fileformats, mpitools
from support import run_python

PUBLIC = [
    "MemAttrs",
    "MemDataset",
    "MemDatasetCommon",
    "MemDatasetDistributed",
    "MemDiskGroup",
    "MemGroup",
    "_BaseGroup",
    "_MemObjMixin",
    "_Storage",
    "_StorageRoot",
    "copyattrs",
    "deep_group_copy",
    "fileformats",
    "get_file",
    "is_group",
    "lock_file",
    "ro_dict",
]
DISTRIBUTED = {"MemDatasetDistributed"}
HEAVY = ["h5py", "zarr", "mpi4py", "tqdm", "numcodecs", "hdf5plugin", "scipy", "matplotlib"]


class TestNames:
    @pytest.mark.parametrize("name", [name for name in PUBLIC if name not in DISTRIBUTED])
    def test_is_there(self, name):
        assert getattr(memdata, name) is not None

    def test_all_lists_the_public_names(self):
        assert set(PUBLIC) - DISTRIBUTED <= set(memdata.__all__)
        assert all(hasattr(memdata, name) for name in memdata.__all__)

    def test_star_import_works(self):
        wanted = [name for name in PUBLIC if name not in DISTRIBUTED]
        run_python(
            f"""
            from memdata import *
            for name in {wanted!r}:
                assert name in globals(), name
            """
        )

    def test_dir_lists_the_public_names(self):
        assert set(PUBLIC) - DISTRIBUTED <= set(dir(memdata))

    def test_an_unknown_name_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match="no_such_name"):
            getattr(memdata, "no_such_name")  # noqa: B009
        with pytest.raises(ImportError, match="no_such_name"):
            exec("from memdata import no_such_name")

    def test_version(self):
        assert isinstance(memdata.__version__, str)
        assert memdata.__version__[0].isdigit()

    def test_trust_is_public(self):
        assert callable(memdata.trust)
        assert "trust" in memdata.__all__

    @pytest.mark.parametrize(
        "name",
        [
            "FileFormat",
            "HDF5",
            "Zarr",
            "H5FILTER",
            "H5_COMPRESS_LZ4",
            "BACKENDS",
            "ZarrProcessSynchronizer",
            "remove_file_or_dir",
            "guess_file_format",
            "check_file_format",
        ],
    )
    def test_of_fileformats(self, name):
        assert hasattr(fileformats, name)

    @pytest.mark.parametrize(
        "name",
        [
            "world",
            "rank",
            "size",
            "rank0",
            "barrier",
            "bcast",
            "allreduce",
            "split_local",
            "split_all",
            "can_allocate",
        ],
    )
    def test_of_mpitools(self, name):
        assert hasattr(mpitools, name)

    @pytest.mark.parametrize(
        "name", [name for name in PUBLIC if name not in DISTRIBUTED | {"fileformats"}]
    )
    def test_say_where_they_live(self, name):
        """Class and function names in messages and pickles lead to the package."""
        thing = getattr(memdata, name)
        assert thing.__module__.partition(".")[0] == "memdata"
        assert thing.__name__ == name
        found = sys.modules[thing.__module__]
        assert getattr(found, thing.__qualname__) is thing


class TestImporting:
    def test_memdata_imports_nothing_heavy(self):
        loaded = run_python(
            f"""
            import sys
            import memdata
            print([name for name in {HEAVY!r} if name in sys.modules])
            """
        )
        assert loaded.strip() == "[]"

    def test_memdata_imports_little_beside_numpy(self):
        """What takes part in `import memdata` is paid by every program; the rest comes later."""
        loaded = run_python(
            """
            import sys
            import numpy
            before = set(sys.modules)
            import memdata
            print(*{name.partition(".")[0] for name in set(sys.modules) - before})
            """
        )
        small = {"__future__", "copy", "errno", "fnmatch", "weakref"}
        assert set(loaded.split()) - small == {"memdata"}

    def test_names_that_come_later_are_found(self):
        run_python(
            """
            import memdata
            later = {"File", "copyattrs", "deep_group_copy", "diff", "equal", "lock_file"}
            assert not later & set(vars(memdata)), "imported at once"
            assert later <= set(dir(memdata))
            assert memdata.deep_group_copy is memdata.deep_group_copy
            assert vars(memdata)["deep_group_copy"] is memdata._memh5.deep_group_copy
            """
        )

    def test_working_in_memory_imports_nothing_heavy(self):
        loaded = run_python(
            f"""
            import copy, pickle, sys
            import numpy as np
            from memdata import *
            tree = MemGroup()
            data = tree.create_dataset("a/x", data=np.arange(3), chunks=(2,), compression="gzip")
            data.attrs["a"] = [1]
            assert tree["a/x"] == data
            copy.deepcopy(tree), MemGroup.from_group(tree), data.copy()
            pickle.loads(pickle.dumps(tree))
            deep_group_copy(tree, MemGroup()), MemDiskGroup(tree)["a"], is_group(tree)
            list(tree.items()), repr(data), ro_dict({{"a": 1}})
            print([name for name in {HEAVY!r} if name in sys.modules])
            """
        )
        assert loaded.strip() == "[]"

    def test_using_files_imports_no_mpi_and_no_zarr(self, tmp_path):
        loaded = run_python(
            """
            import sys
            from memdata import MemGroup
            tree = MemGroup()
            tree.create_dataset("x", data=[1])
            tree.to_hdf5("x.h5")
            MemGroup.from_hdf5("x.h5")
            print([name for name in ("mpi4py", "zarr") if name in sys.modules])
            """,
            cwd=tmp_path,
        )
        assert loaded.strip() == "[]"

    def test_the_optional_packages_are_optional(self, tmp_path):
        """Everything that needs none of them works where they cannot be imported."""
        run_python(
            """
            import sys
            for name in ("mpi4py", "zarr", "tqdm", "hdf5plugin", "numcodecs"):
                sys.modules[name] = None
            import numpy as np
            from memdata import *
            from memdata import mpitools
            assert mpitools.world is None
            assert (mpitools.rank, mpitools.size, mpitools.rank0) == (0, 1, True)
            container = MemDiskGroup()
            assert container.comm is None
            container.create_dataset("x", data=np.arange(3), chunks=(2,), compression="gzip")
            container.save("x.h5", progress=True)
            assert list(MemDiskGroup.from_file("x.h5", progress=True)["x"]) == [0, 1, 2]
            with lock_file("y.h5") as name:
                MemGroup().to_hdf5(name)
            assert fileformats.guess_file_format("a.zarr") is fileformats.Zarr
            import warnings
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                group = MemGroup(distributed=True)
                made = group.create_dataset("x", shape=(3,), distributed=True, distributed_axis=0)
                assert made.common
                assert any(issubclass(w.category, UserWarning) for w in caught)
            """,
            cwd=tmp_path,
        )

    def test_the_c_module_knows_no_file_format(self):
        loaded = run_python(
            """
            import sys
            import memdata._cmemdata
            assert isinstance(memdata._cmemdata._Storage, type)
            print([name for name in ("h5py", "mpi4py", "zarr") if name in sys.modules])
            """
        )
        assert loaded.strip() == "[]"

    def test_the_c_module_may_be_imported_again(self):
        run_python(
            """
            import sys
            import memdata._cmemdata as first
            tree = first._StorageRoot()
            tree["a"] = first._Storage()
            del sys.modules["memdata._cmemdata"]
            try:
                import memdata._cmemdata as second
            except ImportError:
                raise SystemExit
            other = second._StorageRoot()
            other["a"] = second._Storage()
            assert tree["/a"] == first._Storage()
            del first, tree
            import gc
            gc.collect()
            assert list(other) == ["a"]
            """
        )

    def test_submodules_are_modules(self):
        assert isinstance(memdata.fileformats, types.ModuleType)
        assert memdata.fileformats is fileformats
