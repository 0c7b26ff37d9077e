"""Part 9 of the behaviour page: `MemDiskGroup`, a container in memory or on disk."""

from __future__ import annotations

import copy
from pathlib import Path

import h5py
import numpy as np
import pytest

from memdata import MemDatasetCommon, MemDiskGroup, MemGroup, _BaseGroup, _StorageRoot
from support import (
    FakeComm,
    PathLike,
    assert_same_attrs,
    assert_same_tree,
    comm_world,
    fill,
    open_descriptors,
    run_python,
)


class Container(MemDiskGroup):
    """A user's container."""

    finished = False

    def _finish_setup(self):
        self.finished = True


class Uninitialised(MemDiskGroup):
    """A container that must be built without `__init__`."""

    def __init__(self, needed):
        raise AssertionError("__init__ was called")


def same(container, path):
    """Whether a container and a file hold the same, apart from the class's name."""
    with h5py.File(path, "r") as file:
        assert_same_tree(container, file, ignore=("__memh5_subclass",))


class TestDataGroup:
    def test_none_is_a_new_tree_in_memory(self):
        container = MemDiskGroup()
        assert isinstance(container, _BaseGroup)
        assert len(container) == 0
        assert container.name == "/"
        assert container.ondisk is False
        assert container.distributed is False

    def test_a_container_shares_its_storage(self):
        one = MemDiskGroup()
        other = Container(one)
        other.create_dataset("x", data=np.arange(3))
        other.attrs["a"] = 1
        one["x"][0] = 9
        assert other["x"][0] == 9
        assert one.attrs == {"a": 1}

    def test_a_container_on_disk_shares_its_storage(self, h5_tree):
        with MemDiskGroup.from_file(h5_tree, ondisk=True) as one:
            other = Container(one)
            assert other.ondisk
            assert other["sky/map"][1, 1] == 5

    def test_a_mem_group_is_wrapped(self, tree):
        container = MemDiskGroup(tree)
        container["sky/map"][0, 0] = 99
        assert tree["sky/map"][0, 0] == 99
        assert container.ondisk is False
        assert_same_tree(container, tree)

    def test_an_open_h5py_file_is_wrapped(self, h5_tree, tree):
        with h5py.File(h5_tree, "r") as file:
            container = MemDiskGroup(file)
            assert container.ondisk is True
            assert_same_tree(container, tree)
            container.close()
            assert file, "close() closed what it had not opened"

    def test_an_open_h5py_subgroup_is_wrapped(self, h5_tree, tree):
        with h5py.File(h5_tree, "r") as file:
            container = MemDiskGroup(file["sky"])
            assert container.ondisk is True
            assert sorted(container) == ["deep", "map"]
            assert container["deep/mask"].shape == (4,)
            assert_same_attrs(container.attrs, tree["sky"].attrs)

    @pytest.mark.parametrize("kind", [str, Path, PathLike])
    def test_a_file_name_is_opened_with_mode_a(self, tmp_path, kind):
        path = tmp_path / "new.h5"
        with MemDiskGroup(kind(path)) as container:
            assert container.ondisk is True
            container.create_dataset("x", data=np.arange(3))
        with MemDiskGroup(kind(path)) as container:
            assert list(container["x"][:]) == [0, 1, 2]
            container["x"][0] = 9
            container.attrs["again"] = True
        with h5py.File(path, "r") as file:
            assert list(file["x"][:]) == [9, 1, 2]
            assert file.attrs["again"]

    @pytest.mark.parametrize("bad", [5, 1.5, [1], object(), np.zeros(3)], ids=repr)
    def test_anything_else_is_refused(self, bad):
        with pytest.raises((TypeError, ValueError)):
            MemDiskGroup(bad)

    def test_distributed_around_a_file_is_a_value_error(self, h5_tree):
        with pytest.raises(ValueError, match="distributed"):
            MemDiskGroup(h5_tree, distributed=True)
        with h5py.File(h5_tree, "r") as file, pytest.raises(ValueError, match="distributed"):
            MemDiskGroup(file, distributed=True)

    def test_a_refused_file_name_is_not_left_open(self, h5_tree):
        with pytest.raises(ValueError):
            MemDiskGroup(h5_tree, distributed=True)
        assert str(h5_tree) not in open_descriptors()

    def test_distributed_around_a_group_that_is_not_is_a_value_error(self, tree):
        with pytest.raises(ValueError, match="distributed"):
            MemDiskGroup(tree, distributed=True)

    def test_distributed_around_a_distributed_group(self):
        comm = FakeComm()
        container = MemDiskGroup(MemGroup(True, comm), distributed=True, comm=comm)
        assert container.distributed is True
        assert container.comm is comm
        container = MemDiskGroup(MemGroup(True, comm))
        assert container.distributed is True
        assert container.comm is comm

    def test_distributed_with_another_communicator_is_a_value_error(self):
        group = MemGroup(distributed=True, comm=FakeComm())
        with pytest.raises(ValueError, match="comm"):
            MemDiskGroup(group, distributed=True, comm=FakeComm())

    def test_keywords(self, tree, h5_tree):
        assert "sky" in MemDiskGroup(data_group=tree, distributed=False, comm=None)
        with MemDiskGroup(data_group=str(h5_tree), file_format=None) as container:
            assert "sky" in container


class TestUnderlying:
    def test_in_memory_data_and_storage_root_are_a_mem_group(self, tree):
        container = MemDiskGroup(tree)
        assert type(container._data) is MemGroup
        assert type(container._storage_root) is MemGroup
        assert container._data == tree
        assert type(container._data._storage_root) is _StorageRoot
        assert container._data._storage_root is tree._storage_root

    def test_on_disk_data_and_storage_root_are_the_h5py_group(self, h5_tree):
        with h5py.File(h5_tree, "r") as file:
            container = MemDiskGroup(file)
            assert container._data == file
            assert container._storage_root == file
            assert container._data.file.mode == "r"

    def test_those_of_a_subgroup_are_the_roots(self, tree, h5_tree):
        container = MemDiskGroup(tree)
        assert container["sky/deep"]._data == tree
        assert container["sky/deep"]._storage_root == tree
        with h5py.File(h5_tree, "r") as file:
            container = MemDiskGroup(file)
            assert container["sky/deep"]._data == file
            assert container["sky/deep"]._storage_root == file

    def test_data_file_mode_in_memory(self, tree):
        assert MemDiskGroup(tree)._data.file.mode == "r+"

    def test_storage_options_are_set_on_the_stored_object(self, tmp_path):
        container = fill(MemDiskGroup())
        on_storage = container._data._storage_root["/sky/map"]
        on_storage.chunks = (2, 2)
        on_storage.compression = "gzip"
        on_storage.compression_opts = 6
        assert container["sky/map"].chunks == (2, 2)
        container.save(tmp_path / "saved.h5")
        with h5py.File(tmp_path / "saved.h5", "r") as file:
            assert file["sky/map"].chunks == (2, 2)
            assert file["sky/map"].compression == "gzip"
            assert file["sky/map"].compression_opts == 6

    def test_get_storage(self, tree, h5_tree):
        assert MemDiskGroup(tree)["sky"]._get_storage() is tree._storage_root["/sky"]
        with h5py.File(h5_tree, "r") as file:
            assert MemDiskGroup(file)["sky"]._get_storage() == file["sky"]


class TestGroup:
    """What containers add to the group interface; the rest is in test_group_lookup.py."""

    def test_subgroups_are_of_the_containers_own_class(self, tree, h5_tree):
        with h5py.File(h5_tree, "r") as file:
            for container in (Container(), Container(tree), Container(file)):
                if "sky" not in container:
                    fill(container)
                assert type(container["sky"]) is Container
                assert type(container["sky"]["deep"]) is Container
                assert type(container.get("sky/deep")) is Container
                assert {type(node) for node in container["sky"].values()} >= {Container}

    def test_made_groups_are_of_the_containers_own_class(self):
        container = Container()
        assert type(container.create_group("a/b")) is Container
        assert type(container.require_group("c")) is Container

    def test_datasets_in_memory_are_views_of_stored_ones(self, tree):
        found = MemDiskGroup(tree)["sky/map"]
        assert type(found) is MemDatasetCommon
        assert type(found.parent) is MemGroup
        assert type(found.file) is MemGroup
        assert found == tree["sky/map"]

    def test_datasets_on_disk_are_h5pys(self, h5_tree):
        with h5py.File(h5_tree, "r") as file:
            assert MemDiskGroup(file)["sky/map"] == file["sky/map"]

    def test_parent_and_file_of_a_subgroup(self, tree):
        container = Container(tree)
        assert type(container["sky/deep"].parent) is Container
        assert container["sky/deep"].parent == container["sky"]
        assert container["sky/deep"].file == container

    def test_comm_of_a_container_made_from_nothing_is_the_world(self):
        world = comm_world()
        container = MemDiskGroup()
        assert container.comm == world
        assert container.distributed is False

    def test_comm_given_is_kept(self):
        comm = FakeComm()
        assert MemDiskGroup(comm=comm).comm is comm

    def test_comm_around_a_plain_mem_group_is_none(self, tree):
        assert MemDiskGroup(tree).comm is None

    def test_attrs_in_memory_and_on_disk(self, tree, h5_tree):
        assert MemDiskGroup(tree)["sky"].attrs is tree["sky"].attrs
        with h5py.File(h5_tree, "a") as file:
            MemDiskGroup(file)["sky"].attrs["new"] = 5
            assert file["sky"].attrs["new"] == 5

    def test_distributed_conversions_on_disk_are_a_runtime_error(self, h5_tree):
        with h5py.File(h5_tree, "a") as file:
            container = MemDiskGroup(file)
            with pytest.raises(RuntimeError):
                container.dataset_common_to_distributed("sky/map")
            with pytest.raises(RuntimeError):
                container.dataset_distributed_to_common("sky/map")

    def test_distributed_to_common_of_a_common_dataset_warns(self, tree):
        with pytest.warns(UserWarning, match="sky/map"):
            MemDiskGroup(tree).dataset_distributed_to_common("sky/map")

    def test_positional_arguments_of_create_dataset(self, make_group):
        made = make_group().create_dataset("x", (2, 3), "i2")
        assert made.shape == (2, 3)
        assert made.dtype == np.int16

    @pytest.mark.parametrize("place", ["memory", "disk"])
    def test_common_data_may_be_asked_for_by_name(self, place, tmp_path):
        container = MemDiskGroup() if place == "memory" else MemDiskGroup(tmp_path / "x.h5")
        with container:
            made = container.create_dataset("x", data=np.arange(3), distributed=False)
            assert made.shape == (3,)


class TestClosing:
    def test_is_a_context_manager(self, tmp_path):
        path = tmp_path / "x.h5"
        with MemDiskGroup(str(path)) as container:
            assert type(container) is MemDiskGroup
            underlying = container._data
            assert underlying
        assert not underlying
        assert str(path) not in open_descriptors()

    def test_closes_when_the_block_raises(self, tmp_path):
        path = tmp_path / "x.h5"
        with pytest.raises(ZeroDivisionError), MemDiskGroup(str(path)):
            raise ZeroDivisionError
        assert str(path) not in open_descriptors()

    def test_in_memory_is_usable_as_a_context_manager(self, tree):
        with MemDiskGroup(tree) as container:
            assert "sky" in container
        assert tree["sky/map"].shape == (3, 4)

    def test_close_closes_what_it_opened(self, tmp_path):
        path = tmp_path / "x.h5"
        container = MemDiskGroup(path)
        assert str(path) in open_descriptors()
        container.close()
        assert str(path) not in open_descriptors()

    def test_close_twice_is_allowed(self, tmp_path, tree):
        container = MemDiskGroup(tmp_path / "x.h5")
        container.close()
        container.close()
        in_memory = MemDiskGroup(tree)
        in_memory.close()
        in_memory.close()

    @pytest.mark.usefixtures("no_gc")
    def test_dropping_the_last_name_closes_what_it_opened(self, tmp_path):
        path = tmp_path / "x.h5"
        container = MemDiskGroup(path)
        container.create_dataset("x", data=[1, 2])
        del container
        assert str(path) not in open_descriptors()
        with h5py.File(path, "r") as file:
            assert list(file["x"][:]) == [1, 2]

    @pytest.mark.usefixtures("no_gc")
    def test_dropping_a_container_leaves_open_what_it_was_given(self, h5_tree):
        with h5py.File(h5_tree, "r") as file:
            container = MemDiskGroup(file)
            del container
            assert file["sky/map"].shape == (3, 4)

    @pytest.mark.usefixtures("no_gc")
    def test_a_subgroup_keeps_the_file_open(self, h5_tree):
        group = MemDiskGroup(h5_tree)["sky"]
        assert group["map"][1, 1] == 5
        del group
        assert str(h5_tree) not in open_descriptors()

    def test_loading_leaves_no_file_open(self, h5_tree):
        container = MemDiskGroup.from_file(h5_tree)
        assert "sky" in container
        assert str(h5_tree) not in open_descriptors()

    def test_flush_brings_everything_to_the_file(self, tmp_path):
        path = tmp_path / "x.h5"
        with MemDiskGroup(path) as container:
            container.create_dataset("x", data=np.arange(1000))
            container.flush()
            run_python(
                f"""
                import h5py
                with h5py.File({str(path)!r}, "r", locking=False) as file:
                    assert file["x"][999] == 999
                """
            )

    def test_flush_in_memory_does_nothing(self, tree):
        MemDiskGroup(tree).flush()


class TestFromGroup:
    def test_without_init(self, tree):
        container = Uninitialised.from_group(tree)
        assert type(container) is Uninitialised
        assert container["sky/map"] == tree["sky/map"]

    def test_of_nothing_is_a_new_tree(self):
        container = Container.from_group()
        assert type(container) is Container
        assert len(container) == 0
        container.create_dataset("x", data=[1])

    def test_of_a_container_shares_its_storage(self):
        one = fill(MemDiskGroup())
        other = Container.from_group(one)
        other["time"][0] = 99
        assert one["time"][0] == 99

    def test_of_an_open_file(self, h5_tree):
        with h5py.File(h5_tree, "r") as file:
            container = Container.from_group(file)
            assert container.ondisk
            assert container["answer"][()] == 42

    def test_of_a_file_name(self, h5_tree):
        with Container.from_group(str(h5_tree)) as container:
            assert container.ondisk
            assert container["answer"][()] == 42

    def test_does_not_finish_setup(self, tree):
        assert Container.from_group(tree).finished is False


class TestFromFile:
    @pytest.mark.parametrize("kind", [str, Path, PathLike])
    def test_loads_into_memory(self, h5_tree, tree, kind):
        container = Container.from_file(kind(h5_tree))
        assert type(container) is Container
        assert container.ondisk is False
        assert_same_tree(container, tree)

    def test_without_init(self, h5_tree):
        assert type(Uninitialised.from_file(h5_tree)) is Uninitialised
        with Uninitialised.from_file(h5_tree, ondisk=True) as container:
            assert type(container) is Uninitialised

    @pytest.mark.parametrize("ondisk", [False, True])
    def test_then_finishes_setup(self, h5_tree, ondisk):
        with Container.from_file(h5_tree, ondisk=ondisk) as container:
            assert container.finished is True

    def test_finish_setup_finds_the_data(self, h5_tree):
        class Checked(MemDiskGroup):
            def _finish_setup(self):
                self.shape = self["sky/map"].shape

        assert Checked.from_file(h5_tree).shape == (3, 4)

    def test_on_disk_opens_read_only_without_a_mode(self, h5_tree):
        before = h5_tree.read_bytes()
        with MemDiskGroup.from_file(h5_tree, ondisk=True) as container:
            assert container.ondisk is True
            assert container._data.file.mode == "r"
            with pytest.raises((OSError, ValueError, KeyError)):
                container.create_dataset("x", data=np.arange(3))
        assert h5_tree.read_bytes() == before

    @pytest.mark.parametrize("mode", ["r+", "a"])
    def test_on_disk_with_a_mode(self, h5_tree, mode):
        with MemDiskGroup.from_file(h5_tree, ondisk=True, mode=mode) as container:
            container.create_dataset("new", data=np.arange(3))
        with h5py.File(h5_tree, "r") as file:
            assert list(file["new"][:]) == [0, 1, 2]

    def test_on_disk_mode_w_makes_a_new_file(self, tmp_path):
        path = tmp_path / "new.h5"
        with MemDiskGroup.from_file(path, ondisk=True, mode="w") as container:
            container.create_dataset("x", data=[1])
        with h5py.File(path, "r") as file:
            assert list(file) == ["x"]

    def test_loading_takes_a_mode_for_reading(self, h5_tree, tree):
        assert_same_tree(MemDiskGroup.from_file(h5_tree, mode="r"), tree)

    def test_of_an_open_h5py_file(self, h5_tree, tree):
        with h5py.File(h5_tree, "r") as file:
            container = Container.from_file(file)
            assert file
        assert container.ondisk is False
        assert_same_tree(container, tree)

    def test_of_an_open_h5py_subgroup_loads_that_subtree(self, h5_tree, tree):
        with h5py.File(h5_tree, "r") as file:
            container = Container.from_file(file["sky"])
        assert_same_tree(container, tree["sky"])
        assert container["deep"].name == "/deep"

    def test_of_an_open_file_on_disk(self, h5_tree):
        with h5py.File(h5_tree, "r") as file:
            container = Container.from_file(file, ondisk=True)
            assert container.ondisk is True
            container.close()
            assert file

    def test_distributed_on_disk_is_a_value_error(self, h5_tree):
        with pytest.raises(ValueError, match="distributed"):
            MemDiskGroup.from_file(h5_tree, ondisk=True, distributed=True)

    def test_keywords_go_to_the_opener(self, h5_tree):
        assert "sky" in MemDiskGroup.from_file(h5_tree, rdcc_nbytes=2**20)
        with pytest.raises(TypeError, match="no_such_option"):
            MemDiskGroup.from_file(h5_tree, no_such_option=1)

    def test_a_file_format_may_be_named(self, h5_tree, tree, tmp_path):
        from memdata import fileformats

        odd = tmp_path / "no extension"
        odd.write_bytes(h5_tree.read_bytes())
        for file_format in (None, fileformats.HDF5):
            assert_same_tree(MemDiskGroup.from_file(odd, file_format=file_format), tree)


class TestStringConversion:
    @pytest.fixture
    def strings(self, tmp_path):
        path = tmp_path / "strings.h5"
        with h5py.File(path, "w") as file:
            file["s"] = np.array([b"ab", b"c"])
            file.attrs["bytes"] = np.bytes_("xy")
        return path

    def test_default_converts_attributes_and_not_datasets(self, strings):
        container = MemDiskGroup.from_file(strings)
        assert container["s"].dtype == np.dtype("S2")
        assert container.attrs["bytes"] == "xy"

    @pytest.mark.parametrize("place", ["argument", "class attribute"])
    def test_on_loading(self, strings, place):
        class Converting(MemDiskGroup):
            if place == "class attribute":
                convert_dataset_strings = True
                convert_attribute_strings = False

        given = {}
        if place == "argument":
            given = {"convert_dataset_strings": True, "convert_attribute_strings": False}
        container = Converting.from_file(strings, **given)
        assert container["s"].dtype == np.dtype("U2")
        assert container.attrs["bytes"] == b"xy"

    def test_an_argument_is_stronger_than_the_class(self, strings):
        class Converting(MemDiskGroup):
            convert_dataset_strings = True

        container = Converting.from_file(strings, convert_dataset_strings=False)
        assert container["s"].dtype == np.dtype("S2")

    @pytest.mark.parametrize("place", ["argument", "class attribute", "instance attribute"])
    def test_on_saving(self, tmp_path, place):
        class Converting(MemDiskGroup):
            if place == "class attribute":
                convert_dataset_strings = True

        container = Converting()
        container.create_dataset("u", data=np.array(["ab", "c"]))
        given = {"convert_dataset_strings": True} if place == "argument" else {}
        if place == "instance attribute":
            container.convert_dataset_strings = True
        container.save(tmp_path / "saved.h5", **given)
        with h5py.File(tmp_path / "saved.h5", "r") as file:
            assert file["u"].dtype == np.dtype("S2")

    def test_default_on_saving_refuses_unicode_datasets(self, tmp_path):
        container = MemDiskGroup()
        container.create_dataset("deep/u", data=np.array(["ab", "c"]))
        with pytest.raises(TypeError, match="/deep/u"):
            container.save(tmp_path / "saved.h5")
        assert not (tmp_path / "saved.h5").exists()

    def test_attributes_are_not_converted_when_saving_says_so(self, tmp_path):
        container = MemDiskGroup()
        container.attrs["u"] = np.array(["ab", "c"])
        with pytest.raises(TypeError):
            container.save(tmp_path / "saved.h5", convert_attribute_strings=False)
        container.convert_attribute_strings = False
        with pytest.raises(TypeError):
            container.save(tmp_path / "saved.h5")
        container.save(tmp_path / "saved.h5", convert_attribute_strings=True)
        with h5py.File(tmp_path / "saved.h5", "r") as file:
            assert list(file.attrs["u"]) == ["ab", "c"]


class TestSave:
    @pytest.mark.parametrize("kind", [str, Path, PathLike])
    def test_writes_everything(self, tmp_path, kind):
        container = fill(Container())
        container.save(kind(tmp_path / "saved.h5"))
        same(container, tmp_path / "saved.h5")

    def test_writes_the_name_of_the_class(self, tmp_path):
        Container().save(tmp_path / "saved.h5")
        with h5py.File(tmp_path / "saved.h5", "r") as file:
            assert file.attrs["__memh5_subclass"] == f"{__name__}.Container"

    def test_leaves_the_source_untouched(self, tmp_path, h5_tree):
        container = fill(Container())
        container.save(tmp_path / "saved.h5")
        assert "__memh5_subclass" not in container.attrs
        before = h5_tree.read_bytes()
        with Container.from_file(h5_tree, ondisk=True) as on_disk:
            on_disk.save(tmp_path / "again.h5")
        assert h5_tree.read_bytes() == before

    def test_keeps_the_name_of_a_class_that_is_there(self, tmp_path):
        container = Container()
        container.attrs["__memh5_subclass"] = "some.other.Class"
        container.save(tmp_path / "saved.h5")
        with h5py.File(tmp_path / "saved.h5", "r") as file:
            assert file.attrs["__memh5_subclass"] == "some.other.Class"

    def test_of_a_container_on_disk(self, tmp_path, h5_tree):
        with Container.from_file(h5_tree, ondisk=True) as container:
            container.save(tmp_path / "again.h5")
            same(container, tmp_path / "again.h5")
        with h5py.File(tmp_path / "again.h5", "r") as file:
            assert file.attrs["__memh5_subclass"] == f"{__name__}.Container"

    def test_of_a_container_on_disk_that_is_being_written(self, tmp_path):
        with MemDiskGroup(tmp_path / "open.h5") as container:
            fill(container)
            container.save(tmp_path / "again.h5")
            same(container, tmp_path / "again.h5")

    def test_of_a_subgroup_saves_that_subtree(self, tmp_path):
        container = fill(Container())
        container["sky"].save(tmp_path / "sky.h5")
        same(container["sky"], tmp_path / "sky.h5")

    def test_replaces_a_file(self, tmp_path, h5_tree):
        container = Container()
        container.create_dataset("x", data=np.arange(3))
        container.save(h5_tree)
        with h5py.File(h5_tree, "r") as file:
            assert list(file) == ["x"]

    def test_keywords_go_to_the_opener(self, tmp_path):
        fill(Container()).save(tmp_path / "saved.h5", userblock_size=512)
        with h5py.File(tmp_path / "saved.h5", "r") as file:
            assert file.userblock_size == 512

    def test_mode_a_adds_to_a_file(self, tmp_path, h5_tree):
        container = Container()
        container.create_dataset("new", data=np.arange(3))
        container.save(h5_tree, mode="a")
        with h5py.File(h5_tree, "r") as file:
            assert set(file) == {"time", "sky", "empty", "answer", "new"}

    def test_then_load_gives_the_same(self, tmp_path):
        container = fill(Container())
        container.save(tmp_path / "saved.h5")
        again = Container.from_file(tmp_path / "saved.h5")
        assert_same_tree(again, container, ignore=("__memh5_subclass",))


class TestToDiskToMemory:
    def test_to_memory_of_a_container_on_disk(self, h5_tree, tree):
        with Container.from_file(h5_tree, ondisk=True) as container:
            in_memory = container.to_memory()
        assert type(in_memory) is Container
        assert in_memory.ondisk is False
        assert_same_tree(in_memory, tree)

    def test_to_memory_of_a_container_in_memory(self):
        container = fill(Container())
        again = container.to_memory()
        assert type(again) is Container
        assert again.ondisk is False
        assert_same_tree(again, container)

    @pytest.mark.parametrize("given", [{}, {"mode": "w"}], ids=str)
    def test_to_disk_gives_a_container_on_disk(self, tmp_path, given):
        container = fill(Container())
        with container.to_disk(tmp_path / "x.h5", **given) as on_disk:
            assert type(on_disk) is Container
            assert on_disk.ondisk is True
            assert_same_tree(on_disk, container, ignore=("__memh5_subclass",))
            on_disk.create_dataset("late", data=np.arange(3))
        assert "late" not in container
        with h5py.File(tmp_path / "x.h5", "r") as file:
            assert list(file["late"][:]) == [0, 1, 2]

    def test_to_disk_leaves_the_source_untouched(self, tmp_path):
        container = fill(Container())
        container.to_disk(tmp_path / "x.h5").close()
        assert "__memh5_subclass" not in container.attrs

    def test_to_disk_of_a_container_on_disk(self, tmp_path, h5_tree):
        with Container.from_file(h5_tree, ondisk=True) as container:
            with container.to_disk(tmp_path / "x.h5") as again:
                assert_same_tree(again, container, ignore=("__memh5_subclass",))
            assert container["sky/map"].shape == (3, 4)

    def test_to_disk_of_a_distributed_container_is_not_implemented(self, tmp_path):
        container = MemDiskGroup(distributed=True, comm=FakeComm())
        with pytest.raises(NotImplementedError):
            container.to_disk(tmp_path / "x.h5")
        assert not (tmp_path / "x.h5").exists()


class TestCopy:
    @pytest.mark.parametrize("duplicate", [lambda c: c.copy(), copy.deepcopy], ids=["copy", "deep"])
    def test_is_deep(self, duplicate):
        container = fill(Container())
        again = duplicate(container)
        assert type(again) is Container
        assert_same_tree(again, container)
        again["sky/map"][0, 0] = 99
        again["sky"].attrs["survey"] = 99
        again.create_group("new")
        assert container["sky/map"][0, 0] == 0
        assert container["sky"].attrs["survey"] == 7
        assert "new" not in container

    def test_shallow_shares_every_dataset(self):
        container = fill(Container())
        again = container.copy(shallow=True)
        again["sky/map"][0, 0] = 99
        again["time"].attrs["units"] = "h"
        assert container["sky/map"][0, 0] == 99
        assert container["time"].attrs["units"] == "h"
        again.create_group("new")
        del again["answer"]
        assert "new" not in container
        assert "answer" in container

    @pytest.mark.parametrize("spelling", ["sky/map", "/sky/map"])
    def test_shared_datasets_are_shared_and_no_others(self, spelling):
        container = fill(Container())
        again = container.copy(shared=[spelling])
        again["sky/map"][0, 0] = 99
        again["time"][0] = 99
        again["sky"].attrs["survey"] = 99
        assert container["sky/map"][0, 0] == 99
        assert container["time"][0] == 0
        assert container["sky"].attrs["survey"] == 7

    def test_of_a_container_on_disk_is_in_memory(self, h5_tree, tree):
        with Container.from_file(h5_tree, ondisk=True) as container:
            again = container.copy()
        assert type(again) is Container
        assert again.ondisk is False
        assert_same_tree(again, tree)

    def test_is_built_without_init(self, tree):
        again = Uninitialised.from_group(tree).copy()
        assert type(again) is Uninitialised
        assert_same_tree(again, tree)

    def test_positional_arguments(self):
        container = fill(Container())
        again = container.copy(["sky/map"], False)
        assert np.shares_memory(again["sky/map"].data, container["sky/map"].data)
        assert not np.shares_memory(again["time"].data, container["time"].data)
