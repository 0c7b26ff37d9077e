"""Run h5py's own tests on trees in memory: `h5py_suite.py [--core] [--check] [pytest arguments]`.

The tests that come with the installed h5py are copied to a scratch folder, where `File`, `Group`,
`Dataset`, `Datatype` and `AttributeManager` are replaced by memdata's. Tests of what only a file or
the low-level interface has are left out (`FILES`, `LEFT_OUT`). Prints passed and failed by file.

With ``--check`` it fails when fewer tests pass than are written down below (`PASSED`).

With ``--core`` nothing is replaced but the driver: files in memory, as h5py makes them. That shows
what can be expected of a tree in memory.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

#: How many tests pass at least, by version of h5py.
PASSED = {"3.16": 545}

#: Tests of groups, datasets and attributes as users see them.
FILES = (
    "test_attribute_create.py",
    "test_attrs.py",
    "test_attrs_data.py",
    "test_base.py",
    "test_big_endian_file.py",
    "test_completions.py",
    "test_dataset.py",
    "test_dataset_getitem.py",
    "test_datatype.py",
    "test_dimension_scales.py",
    "test_dims_dimensionproxy.py",
    "test_dtype.py",
    "test_file.py",
    "test_file2.py",
    "test_filters.py",
    "test_group.py",
    "test_h5o.py",
    "test_native_complex.py",
    "test_npystrings.py",
    "test_selections.py",
    "test_slicing.py",
    "test_vds/test_highlevel_vds.py",
)

#: Words in a test, or in its `setUp`, that ask for what is below h5py's high-level interface.
LEFT_OUT = re.compile(
    # functions that take identifiers of HDF5, and what identifiers do with an open file
    r"h5[afgo]\.|h5ds?\.(?!FILL_TIME|DatasetID)|h5p\.create|h5r\.|\._id\b|_selector|\bsel2?\.|"
    r"\.id\.(links|_?close|get_access_plist|get_chunk_info)|Datatype\(self|Dataset\(self|Group\(dset|"
    r"get_id|dsid|committed|"
    # h5py's own inside
    r"phil|h5py\._|_filters\b|_fast_reader|_closed|nfiles|registered_drivers|register_driver|"
    # files: how they are laid out, locked, shared by processes, cached
    r"subprocess|swmr|locking|userblock|efile_prefix|virtual_prefix|external=|direct_chunk|"
    r"page_buf|get_cache|fs_strategy|alignment_|mpio|'(core|split|family|stdio|sec2)'|libver=|\.libver|"
    r"file_image|get_config|track_times|is_hdf5"
)

NAMES = """
from h5py import *
from h5py import _hl, h5, h5a, h5d, h5f, h5g, h5o, h5p, h5r, h5s, h5t, h5z, version
import h5py as _h5py
import memdata as _memdata
{body}
"""

MEMORY = """
from memdata import MemGroup as Group, MemDataset as Dataset, NamedType as Datatype
from memdata import MemAttrs as AttributeManager
from memdata.formats.references import ObjectReference as Reference, RegionReference

from memdata.file import File, _FileRoot

_must_save = _FileRoot.must_save

def must_save(self):
    # not those of tests of sizes that no disk has
    sizes = []
    self.file().visititems(lambda name, item: sizes.append(getattr(item, "size", 0) or 0))
    return sum(sizes) < 1 << 27 and _must_save(self)

_FileRoot.must_save = must_save
"""

CORE = """
class File(_h5py.File):
    def __init__(self, name, mode="r", **kw):
        kw.setdefault("driver", "core")
        super().__init__(name, mode, **kw)
"""


def substituted(folder: Path, core: bool) -> None:
    """Copy h5py's tests into `folder` and put our names in place of its."""
    import h5py

    source = Path(h5py.__file__).parent / "tests"
    package = folder / "suite"
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "h5py_names.py").write_text(NAMES.format(body=CORE if core else MEMORY))
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(
            r"^(\s*)import h5py as (\w+)$", r"\1import h5py_names as \2", text, flags=re.MULTILINE
        )
        text = re.sub(
            r"^(\s*)import h5py$", r"\1import h5py_names as h5py", text, flags=re.MULTILINE
        )
        text = re.sub(
            r"^(\s*)from h5py import", r"\1from h5py_names import", text, flags=re.MULTILINE
        )
        up = r"\.\." if path.parent == package else r"\.\.\."
        text = re.sub(rf"^from {up}(?=\w)", "from h5py.", text, flags=re.MULTILINE)
        text = re.sub(rf"^from {up} (?=import)", "from h5py ", text, flags=re.MULTILINE)
        text = text.replace("skip_fast_reader=False", "skip_fast_reader=True")  # of h5py's inside
        path.write_text(text, encoding="utf-8")
    (folder / "conftest.py").write_text(CONFTEST)


CONFTEST = f"""
import inspect
import re

LEFT_OUT = re.compile({LEFT_OUT.pattern!r})


def pytest_collection_modifyitems(config, items):
    kept = []
    for item in items:
        text = ""
        for part in (item.function, getattr(item.cls, "setUp", None)):
            try:
                text += inspect.getsource(part)
            except (OSError, TypeError):
                pass
        if not LEFT_OUT.search(text):
            kept.append(item)
    items[:] = kept
"""


def main() -> int:
    """Run the tests; 0 when they could be run."""
    arguments = sys.argv[1:]
    core, check = "--core" in arguments, "--check" in arguments
    rest = [argument for argument in arguments if argument not in ("--core", "--check")]
    with tempfile.TemporaryDirectory(prefix="h5py-suite-") as name:
        folder = Path(name)
        substituted(folder, core)
        report = folder / "report.xml"
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line"),
            *("-W", "ignore", f"--junitxml={report}", f"--rootdir={folder}"),
            *(str(folder / "suite" / file) for file in FILES),
            *rest,
        ]
        run = subprocess.run(command, cwd=folder, capture_output=not rest, text=True, check=False)
        if not report.exists():
            print(run.stdout, run.stderr)
            return 1
        passed = table(report)
    return enough(passed) if check else 0


def enough(passed: int) -> int:
    """0 when as many tests pass as are written down for the h5py that is here; else 1."""
    import h5py

    version = ".".join(h5py.__version__.split(".")[:2])
    wanted = PASSED.get(version)
    if wanted is None:
        print(f"no number of tests is written down for h5py {version}")
        return 0
    print(f"{passed} tests of h5py {version} pass, at least {wanted} are expected")
    return int(passed < wanted)


def table(report: Path) -> int:
    """Print passed and failed tests by file; how many passed."""
    kinds: dict[tuple[str, str], str] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # one that fails twice is there twice
        where = f"{case.get('classname')}.{case.get('name')}".removeprefix("suite.")
        file = next((part for part in where.split(".") if part.startswith("test_")), where)
        why = next((child for child in case if child.tag in {"failure", "error"}), None)
        if why is None:
            kinds.setdefault((file, where), "skipped" if len(case) else "passed")
            continue
        if kinds.get((file, where)) != "failed":
            lines = (why.get("message") or "").splitlines() or [""]
            print("failed", where, "-", lines[0][:140])
        kinds[file, where] = "failed"
    counts: dict[str, Counter[str]] = {}
    for (file, _), kind in kinds.items():
        counts.setdefault(file, Counter())[kind] += 1
    print(f"{'':32}{'passed':>8}{'failed':>8}")
    for file, count in counts.items():
        print(f"{file:32}{count['passed']:8}{count['failed']:8}")
    passed, failed = (
        sum(count[kind] for count in counts.values()) for kind in ("passed", "failed")
    )
    print(f"{'all':32}{passed:8}{failed:8}")
    return passed


if __name__ == "__main__":
    sys.exit(main())
