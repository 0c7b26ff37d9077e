"""Part 13 of the behaviour page: classes that clients build, in every way that Python has."""

from __future__ import annotations

import abc
import copy
import dataclasses
import logging
import pickle
import threading
import weakref
from collections.abc import Mapping
from typing import Generic, TypeVar

import h5py
import numpy as np
import pytest

import memdata
from memdata import (
    MemDatasetCommon,
    MemDatasetDistributed,
    MemDiskGroup,
    MemGroup,
    _BaseGroup,
)
from memdata.mpiarray import MPIArray
from support import assert_same_array, assert_same_tree, fill
from telescope import ContainerBase, Spectrum, TimeStream, numbered, numbered_stream

BASES = [MemGroup, MemDiskGroup]
T = TypeVar("T")


class Logging:
    """A mixin with a keyword and an object that cannot be pickled, as such mixins have."""

    def __init__(self, *args, level=logging.INFO, **kwargs):
        super().__init__(*args, **kwargs)
        self.level = level
        self.lock = threading.RLock()

    def __getstate__(self):
        return {key: value for key, value in self.__dict__.items() if key != "lock"}

    def __setstate__(self, state):
        self.__dict__.update(state, lock=threading.RLock())


class LoggingGroup(Logging, MemGroup):
    pass


class LoggingContainer(Logging, MemDiskGroup):
    pass


class LoggingDataset(Logging, MemDatasetCommon):
    pass


class SlottedGroup(MemGroup):
    __slots__ = ("first", "second")


class SlottedContainer(MemDiskGroup):
    __slots__ = ("first", "second")


class Weighted(MPIArray):
    """A subclass of an array that carries something, as NumPy's manual teaches it."""

    def __new__(cls, *args, weight=1.0, **kwargs):
        made = super().__new__(cls, *args, **kwargs)
        made.weight = weight
        return made

    def __array_finalize__(self, source):
        super().__array_finalize__(source)
        self.weight = getattr(source, "weight", None)

    def __reduce__(self):
        function, arguments, state = super().__reduce__()
        return function, arguments, (*state, self.weight)

    def __setstate__(self, state):
        self.weight = state[-1]
        super().__setstate__(state[:-1])


class TestSeveralInheritance:
    @pytest.mark.parametrize("base", BASES)
    def test_abstract_methods_have_to_be_written(self, base):
        class Abstract(base, metaclass=abc.ABCMeta):
            @abc.abstractmethod
            def calibrate(self): ...

        class Concrete(Abstract):
            def calibrate(self):
                return len(self)

        with pytest.raises(TypeError, match="calibrate"):
            Abstract()
        with pytest.raises(TypeError, match="calibrate"):
            Abstract._from_storage_root(MemGroup()._storage_root, "/")
        made = fill(Concrete())
        assert made.calibrate() == 4
        assert made["sky"].calibrate() == 2

    def test_abstract_containers_are_not_made_from_groups_either(self, tree):
        class Abstract(abc.ABC, MemDiskGroup):
            @property
            @abc.abstractmethod
            def axes(self): ...

        with pytest.raises(TypeError, match="axes"):
            Abstract.from_group(tree)

    @pytest.mark.parametrize("cls", [LoggingGroup, LoggingContainer])
    def test_mixins_with_a_keyword_of_their_own(self, cls):
        made = cls(level=3, distributed=False)
        assert made.level == 3
        with made.lock:
            fill(made)
        assert_same_tree(made, fill(MemGroup()))

    def test_a_mixin_of_a_dataset(self):
        made = LoggingDataset((2, 3), "f4", level=3, name="/x")
        assert made.level == 3
        assert made.shape == (2, 3)
        assert made.name == "/x"

    @pytest.mark.parametrize("cls", [LoggingGroup, LoggingContainer])
    @pytest.mark.parametrize("duplicate", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy])
    def test_state_that_a_class_picks_itself(self, cls, duplicate):
        """`__getstate__` over `__dict__` leaves out what cannot be kept; the tree is kept still."""
        made = fill(cls(level=3))
        again = duplicate(made)
        assert type(again) is cls
        assert again.level == 3
        assert again.lock is not made.lock
        assert_same_tree(again, made)

    @pytest.mark.parametrize("cls", [SlottedGroup, SlottedContainer])
    @pytest.mark.parametrize("duplicate", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy])
    def test_slots_are_kept(self, cls, duplicate):
        made = fill(cls())
        made.first = [1]
        made.other = 2
        again = duplicate(made)
        assert again.first == [1]
        assert again.other == 2
        assert not hasattr(again, "second")
        assert_same_tree(again, made)

    @pytest.mark.parametrize("base", BASES)
    def test_mixins_without_instance_state(self, base):
        class Empty:
            __slots__ = ()

            def describe(self):
                return f"{type(self).__name__} of {len(self)}"

        class Both(Empty, base, Mapping):
            pass

        class Typed(Both, Generic[T]):
            pass

        assert fill(Both()).describe() == "Both of 4"
        assert fill(Typed[int]()).describe() == "Typed of 4"

    def test_configuration_in_a_dataclass(self):
        @dataclasses.dataclass(eq=False)
        class Config:
            threshold: float = 3.0
            names: list[str] = dataclasses.field(default_factory=list)

        class Configured(Config, MemDiskGroup):
            def __init__(self, data_group=None, **config):
                Config.__init__(self, **config)
                MemDiskGroup.__init__(self, data_group)

        made = fill(Configured(threshold=5.0))
        assert dataclasses.asdict(made) == {"threshold": 5.0, "names": []}
        assert made["sky/map"].shape == (3, 4)
        assert len({made, made["/"]}) == 1

    def test_classes_that_register_themselves(self):
        known = {}

        class Registered(MemDiskGroup):
            def __init_subclass__(cls, kind=None, **kwargs):
                super().__init_subclass__(**kwargs)
                known[kind] = cls

        class Map(Registered, kind="map"):
            pass

        assert known == {"map": Map}

    def test_attributes_found_by_name(self, tree):
        class Dotted(MemDiskGroup):
            def __getattr__(self, name):
                try:
                    return self[name]
                except KeyError:
                    raise AttributeError(name) from None

        dotted = Dotted(tree)
        assert dotted.sky.deep.mask[:].tolist() == [True, False, True, True]
        assert not hasattr(dotted, "nothing")
        again = copy.deepcopy(dotted)
        assert_same_array(again.time[:], tree["time"][:])

    def test_overridden_mapping_methods_are_used(self, tree):
        class Lower(MemDiskGroup):
            def __getitem__(self, name):
                return super().__getitem__(name.lower())

            def __contains__(self, name):
                return super().__contains__(name.lower())

            def __iter__(self):
                return (name.upper() for name in super().__iter__())

        lower = Lower(tree)
        assert "SKY/MAP" in lower
        assert lower["SKY"]["MAP"].shape == (3, 4)
        assert list(lower) == ["TIME", "SKY", "EMPTY", "ANSWER"]


class TestNewAndInit:
    def test_new_first_and_init_from_outside(self, tree):
        made = TimeStream.__new__(TimeStream)
        MemDiskGroup.__init__(made, data_group=tree)
        made.extra = 1
        assert made.extra == 1
        assert made._data is tree

    def test_new_first_around_a_file(self, h5_tree):
        made = ContainerBase.__new__(ContainerBase)
        with h5py.File(h5_tree, "r") as file:
            MemDiskGroup.__init__(made, data_group=file)
            assert made.ondisk
            assert made._data.file.mode == "r"

    def test_init_again_with_other_data(self, tree):
        made = MemDiskGroup()
        MemDiskGroup.__init__(made, data_group=tree)
        assert_same_tree(made, tree)

    def test_a_new_that_returns_another_class_of_the_family(self, tmp_path):
        class Any_(MemDiskGroup):
            def __new__(cls, *args, **kwargs):
                kind = kwargs.get("kind")
                return super().__new__({"gain": Gain, "map": Map}.get(kind, cls))

            def __init__(self, *args, kind=None, **kwargs):
                super().__init__(*args, **kwargs)

        class Gain(Any_):
            pass

        class Map(Any_):
            def __init__(self, *args, nside=0, **kwargs):
                super().__init__(*args, **kwargs)
                self.nside = nside

        assert type(Any_()) is Any_
        assert type(Any_(kind="gain")) is Gain
        made = Any_(kind="map", nside=4)
        assert (type(made), made.nside) == (Map, 4)
        assert type(fill(made)["sky"]) is Map
        assert type(copy.deepcopy(made)) is Map

    def test_a_container_of_another_class_around_the_same_data(self):
        stream = numbered_stream()
        other = ContainerBase.from_group(stream, detect_subclass=False)
        other["vis"][0, 0, 0] = 99
        assert stream.vis[0, 0, 0] == 99
        assert other._data is stream._data

    def test_a_class_that_finishes_its_setup(self, tmp_path):
        class Finished(ContainerBase):
            def _finish_setup(self):
                super()._finish_setup()
                self.ready = sorted(self.index_map)

        numbered_stream().save(tmp_path / "x.h5")
        made = Finished.from_file(tmp_path / "x.h5", detect_subclass=False)
        assert made.ready == ["freq", "prod", "time"]

    def test_an_overridden_from_file_with_keywords_of_its_own(self, tmp_path):
        class Careful(TimeStream):
            @classmethod
            def from_file(cls, file_, *args, minimum=0.0, **kwargs):
                made = super().from_file(file_, *args, detect_subclass=False, **kwargs)
                made.attrs["minimum"] = minimum
                return made

        numbered_stream().save(tmp_path / "x.h5")
        made = Careful.from_file(tmp_path / "x.h5", minimum=2.0, freq_sel=slice(2))
        assert type(made) is Careful
        assert made.attrs["minimum"] == 2.0
        assert made.vis.shape == (2, 3, 8)


class TestClassesMadeAtRunTime:
    @pytest.mark.parametrize("container", [False, True])
    def test_a_dataset_that_shows_itself_otherwise(self, container):
        """The habit: derive from the class at hand, override `__getitem__`, assign `_name`."""
        source = fill(MemDiskGroup() if container else MemGroup())["sky/map"]

        def getitem(self, index):
            return type(source).__getitem__(self, index) * self.scale

        cls = type("Scaled", (type(source),), {"__getitem__": getitem, "scale": 2})
        scaled = cls.from_numpy_array(source[:])
        scaled._name = source.name
        scaled.scale = 10
        assert scaled.name == "/sky/map"
        assert_same_array(scaled[1], source[1] * np.float32(10))
        assert_same_array(scaled[:, 2], source[:, 2] * np.float32(10))
        assert np.shares_memory(scaled.data, source.data)
        assert isinstance(scaled, memdata.MemDataset)

    def test_of_a_distributed_dataset(self):
        source = MemDatasetDistributed.from_mpi_array(MPIArray.wrap(numbered(4, 3), 0))
        cls = type("Masked", (type(source),), {"__getitem__": lambda self, index: "masked"})
        masked = cls.from_mpi_array(source.data)
        masked._name = "/vis"
        assert masked[0] == "masked"
        assert masked.name == "/vis"
        assert masked.local_data is not None

    def test_stored_in_a_tree(self):
        cls = type("Own", (MemDatasetCommon,), {"__getitem__": lambda self, index: "own"})
        root = MemGroup()._storage_root
        root["x"] = cls.from_numpy_array(np.arange(3))
        group = _BaseGroup(root, "/")
        assert group["x"][0] == "own"
        assert type(group["x"]) is cls

    def test_a_class_swapped_under_an_instance(self):
        class Louder(MemDiskGroup):
            loud = True

        made = numbered_stream()
        made.__class__ = Louder
        assert made.loud
        assert type(made["index_map"]) is Louder


class TestAttributesOfOnesOwn:
    def test_on_groups_datasets_and_arrays(self):
        stream = numbered_stream()
        array = MPIArray((4, 3), axis=0)
        for thing in (stream, stream._data, stream["index_map"], stream.vis, array):
            thing.comment = "mine"
            thing.comment += "!"
            assert vars(thing)["comment"] == "mine!"
        assert not hasattr(stream.vis, "comment"), "a look-up gives another object"

    def test_arrays_keep_them_in_pickles(self):
        array = MPIArray((4, 3), axis=1)
        array[:] = numbered(*array.shape)
        array.unit = "K"
        again = pickle.loads(pickle.dumps(array))
        assert again.unit == "K"
        assert again.axis == 1
        assert_same_array(again.local_array, array.local_array)

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_a_subclass_of_an_array_as_numpys_manual_teaches_it(self, protocol):
        array = Weighted((4, 3), axis=1, weight=7.0)
        array[:] = 1
        assert array[:2].weight == 7.0
        for again in (pickle.loads(pickle.dumps(array, protocol)), copy.copy(array)):
            assert type(again) is Weighted
            assert (again.weight, again.axis, again.global_shape) == (7.0, 1, (4, 3))

    def test_views_as_plain_arrays(self):
        array = MPIArray((4, 3), axis=0)
        array[:] = 1
        plain = array.view(np.ndarray)
        assert type(plain) is np.ndarray
        plain[0] = 5
        assert (array.local_array[0] == 5).all()

    def test_weak_references_to_all_of_them(self):
        stream = numbered_stream()
        array = MPIArray((4, 3), axis=0)
        for thing in (stream, stream._data, stream["index_map"], stream.vis, array):
            assert weakref.ref(thing)() is thing


class TestCopies:
    @pytest.mark.parametrize(
        "duplicate", [copy.deepcopy, lambda x: x.copy(), lambda x: pickle.loads(pickle.dumps(x))]
    )
    def test_nothing_is_shared(self, duplicate):
        stream = numbered_stream()
        again = duplicate(stream)
        assert type(again) is TimeStream
        assert not np.shares_memory(again.vis.data, stream.vis.data)
        assert_same_array(again.vis[:], stream.vis[:])
        assert again.vis.chunks == stream.vis.chunks
        assert list(again.freq) == list(stream.freq)
        again.attrs["telescope"]["dishes"].append(3)
        assert stream.attrs["telescope"]["dishes"] == [1, 2]

    def test_overridden_copy_is_what_deepcopy_calls(self):
        again = copy.deepcopy(numbered_stream())
        assert again.attrs["history"] == ["copied"]

    def test_shared_datasets(self):
        stream = numbered_stream()
        again = stream.copy(shared=["vis"])
        assert np.shares_memory(again.vis.data, stream.vis.data)
        assert not np.shares_memory(again.weight.data, stream.weight.data)
        again.vis.attrs["note"] = 1
        assert stream.vis.attrs["note"] == 1

    def test_axes_and_attributes_of_another_container(self):
        stream = numbered_stream()
        spectrum = Spectrum(axes_from=stream, attrs_from=stream)
        assert spectrum["power"].shape == (5,)
        assert spectrum.attrs == {"telescope": {"name": "small", "dishes": [1, 2]}}
        assert spectrum.attrs["telescope"] is not stream.attrs["telescope"]
