"""`memdata.testing`: what it promises to other suites, as they would use it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import memdata
from memdata.testing import assert_tree_equal, example_tree, strategies
from support import assert_same_tree, run_python


class TestAssertTreeEqual:
    def test_equal_trees_pass_wherever_they_are(self, tmp_path):
        tree = example_tree()
        tree.to_hdf5(tmp_path / "x.h5")
        assert_tree_equal(tree, tmp_path / "x.h5")
        assert_tree_equal(np.arange(3), np.arange(3))

    def test_the_message_has_each_difference_and_where_it_is(self):
        one, other = example_tree(), example_tree()
        del other["sky/deep"]
        other["time"][2] += 1
        with pytest.raises(AssertionError) as caught:
            assert_tree_equal(one, other)
        text = str(caught.value)
        assert "2 differences" in text
        assert "/sky/deep: " in text
        assert "/time: 1 of 4 elements differs, at (2,)" in text

    def test_long_messages_are_cut(self):
        one, other = memdata.MemGroup(), memdata.MemGroup()
        for number in range(30):
            one.create_dataset(f"x{number}", data=np.zeros(1))
        with pytest.raises(AssertionError, match=r"30 differences[\s\S]*\.\.\. and 27 more"):
            assert_tree_equal(one, other, most=3)

    def test_rules_are_those_of_diff(self):
        assert_tree_equal(np.array([1.0]), np.array([1.01], "f4"), rtol=0.1, types=False)
        with pytest.raises(TypeError):
            assert_tree_equal(1.0, 1.0, no_such_rule=True)

    def test_all_ranks_raise_if_one_differs(self, memdata_mpiexec):
        printed = memdata_mpiexec(
            """
from mpi4py import MPI
from memdata.testing import assert_tree_equal, example_tree
comm = MPI.COMM_WORLD
mine = example_tree()
assert_tree_equal(mine, example_tree(), comm=comm)
if comm.rank == 1:
    mine["answer"][()] = 0
try:
    assert_tree_equal(mine, example_tree(), comm=comm)
except AssertionError as error:
    assert "rank 1 of 2" in str(error) and "/answer" in str(error)
    print("raised")
"""
        )
        assert printed.count("raised") == 2


class TestFixtures:
    def test_tree(self, memdata_tree):
        assert_same_tree(memdata_tree, example_tree())

    def test_store_has_a_copy(self, memdata_store, memdata_tree):
        class Mine(memdata.MemDiskGroup):
            pass

        container = memdata_store(memdata_tree, Mine)
        assert isinstance(container, Mine)
        assert_tree_equal(container, example_tree())
        container["time"][0] = 9.0
        assert memdata_tree["time"][0] == 0.0

    def test_comm_and_shared_path(self, memdata_comm, memdata_shared_path):
        assert memdata_comm is None or memdata_comm.size >= 1
        assert memdata_shared_path.is_dir()

    def test_variables(self, monkeypatch, request):
        monkeypatch.setenv("MEMDATA_MOVER", "none of them")
        request.getfixturevalue("memdata_variables")
        memdata.MemGroup().to_hdf5(request.getfixturevalue("tmp_path") / "x.h5")

    def test_another_suite_takes_them(self, pytester):
        """As the page says: a line in conftest.py, and a failing test says what differs."""
        pytester.makeconftest('pytest_plugins = ["memdata.testing.fixtures"]')
        pytester.makepyfile(
            """
            from memdata.testing import assert_tree_equal

            def test_kept(memdata_store, memdata_tree):
                assert_tree_equal(memdata_store(memdata_tree), memdata_tree, types=False)

            def test_lost(memdata_tree):
                assert_tree_equal(memdata_tree["sky"], memdata_tree["sky/deep"])
            """
        )
        result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
        result.assert_outcomes(passed=3, failed=1)
        result.stdout.fnmatch_lines(["*AssertionError: 4 differences*"])


class TestStrategies:
    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(tree=strategies.trees())
    @pytest.mark.parametrize("name", ["x.h5", "x.zarr"])
    def test_trees_come_back_from_every_format(self, tmp_path, tree, name):
        if name.endswith("zarr"):
            pytest.importorskip("zarr")
        path: Path = tmp_path / name
        if path.is_dir():
            shutil.rmtree(path)
        tree.to_file(path)
        assert_tree_equal(memdata.MemGroup.from_file(path), tree, types=False)

    def test_nothing_else_needs_hypothesis_or_pytest(self):
        run_python(
            """
            import sys
            sys.modules["pytest"] = sys.modules["hypothesis"] = None
            from memdata.testing import assert_tree_equal, example_tree
            assert_tree_equal(example_tree(), example_tree())
            """
        )
