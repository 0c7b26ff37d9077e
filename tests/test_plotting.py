"""`memdata.plot`: what is drawn, and what stands beside it."""

from __future__ import annotations

import numpy as np
import pytest

import memdata
from memdata import MemDiskGroup, MemGroup
from support import comm_world
from telescope import numbered, numbered_stream

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def _no_window():
    matplotlib.use("agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture
def night():
    group = MemGroup()
    freq = np.array([(400.0 + i, 1) for i in range(4)], [("centre", "f8"), ("width", "i4")])
    group.create_dataset("index_map/freq", data=freq).attrs["units"] = "MHz"
    group.create_dataset("index_map/pol", data=np.array(["XX", "YY"]))
    vis = group.create_dataset("obs/vis", data=numbered(4, 2, 3) * (1 + 2j))
    vis.attrs["axis"] = np.array(["freq", "pol", "time"])
    return group


def test_a_line_stands_over_the_index_map(night):
    ax = night["obs/vis"].plot(np.s_[:, 0, 1])
    real, imaginary = ax.lines
    np.testing.assert_array_equal(real.get_xdata(), [400.0, 401.0, 402.0, 403.0])
    np.testing.assert_array_equal(real.get_ydata(), night["obs/vis"][:, 0, 1].real)
    np.testing.assert_array_equal(imaginary.get_ydata(), night["obs/vis"][:, 0, 1].imag)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("freq (centre) [MHz]", "vis")
    assert ax.get_title() == "/obs/vis"


def test_a_waterfall_shows_the_modulus(night):
    night["obs/vis"].attrs["units"] = "Jy"
    ax = memdata.plot(night["obs/vis"], np.s_[:, 0], cmap="gray")
    assert ax.figure.axes[1].get_ylabel() == "|vis| [Jy]"
    (mesh,) = ax.collections
    np.testing.assert_allclose(mesh.get_array(), abs(night["obs/vis"][:, 0]))
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("freq (centre) [MHz]", "time")
    assert mesh.get_cmap().name == "gray"


def test_texts_are_written_along_their_axis(night):
    ax = night["obs/vis"].plot(np.s_[0, :, 0])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["XX", "YY"]


def test_dimension_scales_count(tmp_path):
    group = MemGroup()
    group["x"] = np.array([5.0, 7.0, 9.0])
    group["x"].attrs["units"] = b"cm"
    group["d"] = numbered(3)
    group["d"].dims[0].attach_scale(group["x"])
    group.to_hdf5(tmp_path / "file.h5")
    with MemDiskGroup.from_file(tmp_path / "file.h5", ondisk=True) as on_disk:
        for dataset in (group["d"], on_disk["d"]):
            ax = memdata.plot(dataset)
            np.testing.assert_array_equal(ax.lines[0].get_xdata(), [5.0, 7.0, 9.0])
            assert ax.get_xlabel() == "x [cm]"


def test_more_axes_are_a_histogram_without_what_is_not_finite():
    group = MemGroup()
    group["d"] = np.append(numbered(23), np.nan).reshape(2, 3, 4)
    ax = group["d"].plot(bins=5, histtype="bar")
    assert sum(patch.get_height() for patch in ax.patches) == 23
    assert ax.get_xlabel() == "d"


def test_what_is_large_is_thinned_out():
    group = MemGroup()
    group["d"] = np.zeros((5000, 3))
    (mesh,) = group["d"].plot().collections
    assert mesh.get_array().shape[0] <= 2000


def test_an_axes_is_drawn_into(night):
    from matplotlib import pyplot

    _, ax = pyplot.subplots()
    assert memdata.plot(np.arange(3), ax=ax) is ax


def test_distributed_data_show_their_part():
    comm_world()
    stream = numbered_stream(distributed=True)
    ax = stream.vis.plot(np.s_[:, 0])
    assert ax.get_ylabel() == "freq"
    assert memdata.plot(stream.vis.data, np.s_[:, 0, 0]).lines


def test_bad_wishes_are_refused(night):
    vis = night["obs/vis"]
    with pytest.raises(ValueError, match="kind must be line, waterfall or histogram, not 'pie'"):
        vis.plot(kind="pie")
    with pytest.raises(ValueError, match="vis: a line needs 1 axes, not 3"):
        vis.plot(kind="line")
    with pytest.raises(IndexError, match="vis: index= takes"):
        vis.plot(np.s_[9])
    with pytest.raises(TypeError, match="choose a field"):
        night["index_map/freq"].plot()
    with pytest.raises(TypeError, match="cannot be plotted"):
        night["index_map/pol"].plot()
