"""Signatures are the behaviour page's, docstrings are there, and their examples run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Mapping

import pytest

import memdata
import memdata.compat
from memdata import (
    MemDatasetCommon,
    MemDiskGroup,
    MemGroup,
    _cmemdata,
    copying,
    fileformats,
    indexing,
    mpitools,
)

# What the behaviour page writes after each name. `{}` and `[]` as defaults may be any empty
# collection or None.
SIGNATURES = {
    "ro_dict": "(d=None)",
    "_Storage": "(**kw)",
    "_StorageRoot": "(distributed=False, comm=None)",
    "_MemObjMixin": "(storage_root=None, name='')",
    "_BaseGroup._from_storage_root": "(root, name)",
    "_BaseGroup._get_storage": "()",
    "_BaseGroup.require_dataset": "(name, shape, dtype, **kw)",
    "_BaseGroup.require_group": "(name)",
    "MemGroup": "(distributed=False, comm=None)",
    "MemGroup.from_group": "(group)",
    "MemGroup.from_hdf5": "(filename, distributed=False, hints=True, comm=None, selections={}, "
    "convert_dataset_strings=False, convert_attribute_strings=True, **kw)",
    "MemGroup.from_file": "(filename, distributed=False, hints=True, comm=None, selections={}, "
    "convert_dataset_strings=False, convert_attribute_strings=True, file_format=None, **kw)",
    "MemGroup.to_hdf5": "(filename, mode='w', hints=True, convert_attribute_strings=True, "
    "convert_dataset_strings=False, **kw)",
    "MemGroup.to_file": "(filename, mode='w', hints=True, convert_attribute_strings=True, "
    "convert_dataset_strings=False, file_format=None, **kw)",
    "MemGroup.create_group": "(name)",
    "MemGroup.create_dataset": "(name, shape=None, dtype=None, data=None, distributed=False, "
    "distributed_axis=None, chunks=None, compression=None, compression_opts=None, **kw)",
    "MemGroup.dataset_common_to_distributed": "(name, distributed_axis=0)",
    "MemGroup.dataset_distributed_to_common": "(name)",
    "MemDataset.copy": "(order='A', shallow=False)",
    "MemDataset.view": "()",
    "MemDatasetCommon": "(shape, dtype, chunks=None, compression=None, compression_opts=None, "
    "**kw)",
    "MemDatasetCommon.from_numpy_array": "(data, chunks=None, compression=None, "
    "compression_opts=None, **kw)",
    "MemDatasetDistributed": "(shape, dtype, axis=0, comm=None, chunks=None, compression=None, "
    "compression_opts=None, **kw)",
    "MemDatasetDistributed.from_mpi_array": "(data, chunks=None, compression=None, "
    "compression_opts=None, **kw)",
    "MemDatasetDistributed.redistribute": "(axis)",
    "MemDiskGroup": "(data_group=None, distributed=False, comm=None, file_format=None)",
    "MemDiskGroup.from_group": "(data_group=None, detect_subclass=True)",
    "MemDiskGroup.from_file": "(file_, ondisk=False, distributed=False, comm=None, "
    "detect_subclass=True, convert_attribute_strings=None, convert_dataset_strings=None, "
    "file_format=None, **kw)",
    "MemDiskGroup._resolve_subclass": "(path)",
    "MemDiskGroup._detect_subclass_path": "(group)",
    "MemDiskGroup._make_selections": "(sel_args)",
    "MemDiskGroup._finish_setup": "()",
    "MemDiskGroup.group_name_allowed": "(path)",
    "MemDiskGroup.dataset_name_allowed": "(path)",
    "MemDiskGroup.create_dataset": "(name, *args, **kw)",
    "MemDiskGroup.create_group": "(name)",
    "MemDiskGroup.dataset_common_to_distributed": "(name, distributed_axis=0)",
    "MemDiskGroup.dataset_distributed_to_common": "(name)",
    "MemDiskGroup.to_memory": "()",
    "MemDiskGroup.to_disk": "(filename, file_format=HDF5, **kw)",
    "MemDiskGroup.flush": "()",
    "MemDiskGroup.close": "()",
    "MemDiskGroup.copy": "(shared=[], shallow=False)",
    "MemDiskGroup.save": "(filename, convert_attribute_strings=None, "
    "convert_dataset_strings=None, file_format=HDF5, **kw)",
    "is_group": "(obj)",
    "get_file": "(f, file_format=None, **kw)",
    "copyattrs": "(a1, a2, convert_strings=False)",
    "deep_group_copy": "(g1, g2, selections=None, convert_dataset_strings=False, "
    "convert_attribute_strings=True, file_format=HDF5, skip_distributed=False, "
    "postprocess=None, shallow=False, shared=None)",
    "lock_file": "(filename, preserve=False, comm=None)",
    "fileformats.ZarrProcessSynchronizer": "(name, comm=None)",
    "fileformats.remove_file_or_dir": "(name)",
    "fileformats.guess_file_format": "(name, default=HDF5)",
    "fileformats.check_file_format": "(filename, file_format, data)",
    "fileformats.HDF5.open": "(*a, **kw)",
    "fileformats.HDF5.compression_kwargs": "(compression=None, compression_opts=None, "
    "compressor=None)",
    "fileformats.Zarr.open": "(*a, **kw)",
    "fileformats.Zarr.compression_kwargs": "(compression=None, compression_opts=None, "
    "compressor=None)",
    "mpiarray.MPIArray": "(global_shape, axis=0, comm=None, *args, **kw)",
    "mpiarray.MPIArray.wrap": "(array, axis, comm=None)",
    "mpiarray.MPIArray.redistribute": "(axis)",
    "mpiarray.MPIArray.allreduce": "(op=None)",
    "mpiarray.MPIArray.gather": "(rank=0)",
    "mpiarray.MPIArray.allgather": "()",
    "mpiarray.MPIArray.enumerate": "(axis)",
    "mpiarray.MPIArray.transpose": "(*axes)",
    "mpiarray.MPIArray.reshape": "(*shape)",
    "mpiarray.MPIArray.from_hdf5": "(f, dataset, comm=None, axis=0, sel=None)",
    "mpiarray.MPIArray.from_file": "(f, dataset, comm=None, axis=0, sel=None, file_format=HDF5)",
    "mpiarray.MPIArray.to_hdf5": "(f, dataset, create=False, chunks=None, compression=None, "
    "compression_opts=None)",
    "mpiarray.MPIArray.to_zarr": "(f, dataset, create=False, chunks=None, compression=None, "
    "compression_opts=None)",
    "mpiarray.MPIArray.to_file": "(f, dataset, create=False, chunks=None, compression=None, "
    "compression_opts=None, file_format=HDF5)",
    "mpiarray.zeros": "(global_shape, axis=0, comm=None, *args, **kw)",
    "mpiarray.ones": "(global_shape, axis=0, comm=None, *args, **kw)",
    "mpitools.split_local": "(n, comm)",
    "mpitools.split_all": "(n, comm)",
    "_io.open_h5py_mpi": "(f, mode, use_mpi=True, comm=None)",
}

# Where the page gives no more than a name: its own parameters, as docs/design.md has decided.
DECIDED = {
    "_memh5.get_h5py_File": "(f, **kw)",
    "_memh5.attrs2dict": "(attrs)",
    "_memh5.deep_copy_dataset": "(dset, order='A')",
    "mpiarray.sanitize_slice": "(index, ndim)",
    "mpiarray._apply_sel": "(array, sel, axis=None)",
    "mpiarray._expand_sel": "(sel, ndim)",
    "mpiarray._len_slice": "(index, length)",
    "mpiarray._reslice": "(index, length, part)",
    "mpiarray._partition_sel": "(sel, axis, shape, part)",
    "mpiarray._global_resolver": "(array)",
    "mpitools.barrier": "(comm=None)",
    "mpitools.bcast": "(value, root=0, comm=None)",
    "mpitools.allreduce": "(value, op=None, comm=None)",
    "mpitools.can_allocate": "(nbytes)",
}
SIGNATURES |= DECIDED

# Parameters that must be given on the page, and need not be here.
FURTHER_DEFAULTS = {"mpitools.split_local", "mpitools.split_all"}

# What the page names and calls no function.
NAMES = {
    "memdata": [
        *("MemAttrs", "MemDataset", "MemDatasetCommon", "MemDatasetDistributed", "MemDiskGroup"),
        *("MemGroup", "_BaseGroup", "_MemObjMixin", "_Storage", "_StorageRoot", "copyattrs"),
        *("deep_group_copy", "fileformats", "get_file", "is_group", "lock_file", "ro_dict"),
        *("_memh5", "_io"),
    ],
    "memdata._memh5": [
        *("get_file", "get_h5py_File", "attrs2dict", "format_abs_path", "deep_copy_dataset"),
        *("deep_group_copy", "is_group", "copyattrs", "FileLike", "GroupLike", "DatasetLike"),
        *("FileOrGroupLike", "logger", "zarr_available"),
    ],
    "memdata._io": ["open_h5py_mpi"],
    "memdata.mpiarray": [
        *("MPIArray", "zeros", "ones", "AxisException", "UnsupportedOperation", "SelectionLike"),
        *("SelectionTupleLike", "sanitize_slice", "_apply_sel", "_expand_sel", "_len_slice"),
        *("_reslice", "_partition_sel", "_global_resolver"),
    ],
    "memdata.mpitools": [
        *("world", "rank", "size", "rank0", "barrier", "bcast", "allreduce", "split_local"),
        *("split_all", "can_allocate"),
    ],
    "memdata.fileformats": [
        *("HDF5", "Zarr", "FileFormat", "H5FILTER", "H5_COMPRESS_LZ4", "BACKENDS"),
        *("ZarrProcessSynchronizer", "remove_file_or_dir", "guess_file_format"),
        "check_file_format",
    ],
}
MEMBERS = {
    "memdata.MemDiskGroup": ["_data", "_storage_root", "ondisk", "_finish_setup", "_get_storage"],
    "memdata._BaseGroup": [
        "comm",
        "distributed",
        "attrs",
        "_group_class",
        "name",
        "parent",
        "file",
    ],
    "memdata.lock_file": ["tmpfile", "lockfile"],
    "memdata.MemDatasetCommon": [
        *("comm", "common", "distributed", "data", "local_data", "shape", "dtype", "chunks"),
        *("compression", "compression_opts", "attrs", "resize"),
    ],
    "memdata.MemDatasetDistributed": [
        *("comm", "common", "distributed", "data", "local_data", "shape", "global_shape"),
        *("local_shape", "local_offset", "dtype", "distributed_axis", "chunks", "compression"),
        "compression_opts",
    ],
    "memdata.mpiarray.MPIArray": [
        *("global_shape", "axis", "local_shape", "local_offset", "local_array", "local_bounds"),
        *("comm", "global_slice", "T", "copy", "ravel"),
    ],
}
# The older names of modules, which `memdata.compat` serves.
STAND_INS = {
    "caput.memdata": "memdata",
    "caput.memdata._memh5": "memdata._memh5",
    "caput.memdata._io": "memdata._io",
    "caput.memdata.fileformats": "memdata.fileformats",
    "caput.mpiarray": "memdata.mpiarray",
    "caput.memh5": "memdata._memh5",
    "caput.fileformats": "memdata.fileformats",
    "caput.mpiutil": "memdata.mpitools",
}


def find(path):
    thing = memdata
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing


def expected(path):
    """The signature written in the table, as an object; `self` and `cls` are left out."""
    scope = {"HDF5": fileformats.HDF5}
    exec(f"def wanted{SIGNATURES[path]}: ...", scope)
    return inspect.signature(scope["wanted"])


def of(path):
    """The signature that Python tells, without `self` or `cls`."""
    thing = find(path)
    signature = inspect.signature(thing)
    owner, _, name = path.rpartition(".")
    plain = owner and inspect.isclass(find(owner)) and not inspect.ismethod(thing)
    static = plain and isinstance(inspect.getattr_static(find(owner), name), staticmethod)
    bound = getattr(thing, "__self__", None) is not None
    parameters = list(signature.parameters.values())
    if plain and not static and not bound:
        parameters = parameters[1:]
    return signature.replace(parameters=parameters)


@pytest.mark.parametrize("path", list(SIGNATURES))
def test_is_the_pages(path):
    """Names, order, kinds and defaults; more keyword-only parameters are allowed."""
    P = inspect.Parameter
    wanted = list(expected(path).parameters.values())
    found = list(of(path).parameters.values())
    names = {parameter.name for parameter in wanted}
    variable = (P.VAR_POSITIONAL, P.VAR_KEYWORD)
    # The page's names for *args and **kw are not a promise, and further keywords (`progress`,
    # `durable`) may be spelled out where the page says **kw.
    extra = [p for p in found if p.kind is P.KEYWORD_ONLY and p.name not in names]
    ordinary = [p for p in found if p.kind not in variable and p not in extra]
    assert [p.name for p in ordinary] == [p.name for p in wanted if p.kind not in variable]
    for one, other in zip(ordinary, [p for p in wanted if p.kind not in variable], strict=True):
        after_star = other.kind is P.KEYWORD_ONLY
        assert one.kind is P.POSITIONAL_OR_KEYWORD or after_star, one
        if isinstance(other.default, list | dict):
            assert not one.default, one
        elif other.default is not P.empty or path not in FURTHER_DEFAULTS:
            assert one.default == other.default, one
            assert type(one.default) is type(other.default), one
    takes_any = any(p.kind is P.VAR_KEYWORD for p in found)
    assert any(p.kind is P.VAR_KEYWORD for p in wanted) <= (takes_any or bool(extra))
    assert any(p.kind is P.VAR_POSITIONAL for p in found) == any(
        p.kind is P.VAR_POSITIONAL for p in wanted
    )
    if extra and not any(p.kind is P.VAR_KEYWORD for p in wanted):
        assert all(p.default is not P.empty for p in extra)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner, names in (NAMES | MEMBERS).items() for name in names],
)
def test_is_there(owner, name):
    thing = find(owner.partition(".")[2]) if "." in owner else memdata
    assert hasattr(thing, name)


@pytest.mark.parametrize("module", list(NAMES))
def test_public_names_are_exported_by_star(module):
    wanted = [name for name in NAMES[module] if not name.startswith("_")]
    assert set(wanted) <= set(importlib.import_module(module).__all__)


@pytest.mark.parametrize(
    ("old", "name"), [(old, name) for old, ours in STAND_INS.items() for name in NAMES[ours]]
)
def test_is_there_under_the_name_that_programs_import(old, name):
    with memdata.compat.install():
        module = importlib.import_module(old)
        ours = getattr(importlib.import_module(STAND_INS[old]), name)
        if inspect.ismodule(ours):
            assert getattr(module, name).__name__ == f"{old}.{name}"
        else:
            assert getattr(module, name) is ours


def test_memh5_has_the_names_of_the_package_too():
    with memdata.compat.install():
        memh5 = importlib.import_module("caput.memh5")
        for name in NAMES["memdata"]:
            assert name in ("_memh5", "_io") or getattr(memh5, name) is getattr(memdata, name)


@pytest.mark.parametrize("path", list(SIGNATURES))
def test_all_parameters_may_be_given_by_name(path):
    """`inspect.signature` would show positional-only parameters with a slash."""
    assert "/" not in str(of(path)).split("=")[0]


@pytest.mark.parametrize(
    "method",
    [
        "MemGroup.from_group",
        "MemGroup.from_hdf5",
        "MemGroup.from_file",
        "_BaseGroup._from_storage_root",
        "MemDatasetCommon.from_numpy_array",
        "MemDiskGroup.from_group",
        "MemDiskGroup.from_file",
        "MemDiskGroup._make_selections",
        "MemDiskGroup._detect_subclass_path",
        "MemDiskGroup._resolve_subclass",
    ],
)
def test_is_a_class_method(method):
    owner, _, name = method.rpartition(".")
    assert getattr(find(owner), name).__self__ is find(owner)

    class Derived(find(owner)):
        pass

    assert getattr(Derived, name).__self__ is Derived


def public_objects():
    """Every public module, class, function, method and property of the package, by name."""
    found = {"memdata": memdata}
    modules = [memdata, fileformats, copying, _cmemdata, mpitools, memdata.mpiarray, indexing]
    modules += [memdata.compat.installing, memdata._io]
    for module in modules:
        for name, thing in vars(module).items():
            if name.startswith("__") or inspect.ismodule(thing):
                continue
            if name.startswith("_") and name not in memdata.__all__ and module is not _cmemdata:
                continue
            if name not in memdata.__all__ and getattr(thing, "__module__", "") != module.__name__:
                continue
            if not (inspect.isclass(thing) or callable(thing)):
                continue
            path = f"{module.__name__}.{name}"
            found[path] = thing
            if not inspect.isclass(thing):
                continue
            for member, value in vars(thing).items():
                documented = callable(value) or isinstance(
                    value, property | staticmethod | classmethod
                )
                documented |= inspect.isdatadescriptor(value)
                if not member.startswith("_") and documented:
                    found[f"{path}.{member}"] = getattr(thing, member)
    return found


PUBLIC = public_objects()


@pytest.mark.parametrize("path", list(PUBLIC))
def test_has_a_docstring(path):
    doc = inspect.getdoc(PUBLIC[path])
    assert doc
    first = doc.strip().splitlines()[0]
    assert first, "starts with an empty line"
    assert not first.endswith((" -", ",")), first


@pytest.mark.parametrize(
    "path", [path for path, thing in PUBLIC.items() if callable(thing) and "Error" not in path]
)
def test_has_a_signature_that_python_can_tell(path):
    inspect.signature(PUBLIC[path])


@pytest.mark.parametrize(
    "method",
    [
        f"{kind}.{name}"
        for kind in ("_Storage", "_StorageRoot", "_BaseGroup", "MemDataset", "MemDatasetCommon")
        for name, value in vars(getattr(memdata, kind)).items()
        if callable(value) and not name.startswith("__")
    ],
)
def test_c_methods_begin_their_docstring_with_their_signature(method):
    """Seen as `__text_signature__`, from which `inspect.signature` and help() work."""
    thing = find(method)
    assert inspect.signature(thing) is not None
    assert "--\n\n" not in (thing.__doc__ or "")


def modules():
    yield memdata
    for info in pkgutil.walk_packages(memdata.__path__, "memdata."):
        yield importlib.import_module(info.name)


MODULES = {module.__name__: module for module in modules()}


@pytest.mark.parametrize("name", list(MODULES))
def test_modules_say_what_they_are(name):
    assert MODULES[name].__doc__
    assert MODULES[name].__doc__.strip()


class Finder(doctest.DocTestFinder):
    """Also finds the docstrings of C functions, methods and properties."""

    def _from_module(self, module, thing):
        native = inspect.isbuiltin(thing) or inspect.ismethoddescriptor(thing)
        if native or inspect.isdatadescriptor(thing):
            return True
        return super()._from_module(module, thing)


def examples():
    for name, module in MODULES.items():
        for test in Finder(exclude_empty=True).find(module, name):
            if test.examples:
                yield test
    for path, thing in PUBLIC.items():
        if path.startswith("memdata._cmemdata."):
            parser = doctest.DocTestParser()
            doc = inspect.getdoc(thing) or ""
            scope = dict(vars(memdata))
            test = parser.get_doctest(doc, scope, path, None, 0)
            if test.examples:
                yield test


EXAMPLES = {test.name: test for test in examples()}


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    test = EXAMPLES[name]
    if ".Zarr." in name:
        pytest.importorskip("numcodecs")
    import numpy as np

    test.globs.setdefault("np", np)
    test.globs.setdefault("memdata", memdata)
    runner = doctest.DocTestRunner(
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, verbose=False
    )
    report = []
    runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize(
    "path",
    [
        "MemGroup",
        "MemGroup.create_dataset",
        "MemGroup.from_hdf5",
        "MemGroup.to_hdf5",
        "MemDiskGroup",
        "MemDiskGroup.from_file",
        "MemDiskGroup.save",
        "deep_group_copy",
        "lock_file",
        "ro_dict",
    ],
)
def test_the_main_entrances_show_an_example(path):
    assert ">>>" in inspect.getdoc(find(path))


def test_groups_and_containers_are_mappings_to_isinstance():
    assert isinstance(MemGroup(), Mapping)
    assert isinstance(MemDiskGroup(), Mapping)
    assert not isinstance(MemDatasetCommon((1,), "f8"), Mapping)
