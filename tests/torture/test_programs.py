"""Several programs at the same file: one save wins whole, readers see the old file or the new."""

import pytest

from torture.scale import figure, rounds
from torture.scripts import found_by
from torture.trees import KINDS


@pytest.fixture(params=KINDS)
def kind(request):
    if request.param != "hdf5":
        pytest.importorskip("zarr")
    return request.param


@pytest.mark.timeout(3600)
def test_of_two_that_save_one_wins_and_both_know(tmp_path, kind):
    number = rounds(short=8, full=300)
    found = found_by("programs.py", "writers", tmp_path / KINDS[kind], number)
    figure(f"{kind}: two programs that save the same name", str(found))
    assert found["wrong"] == []
    assert found["both"] + found["one"] == number


@pytest.mark.timeout(3600)
def test_a_reader_sees_a_whole_tree(tmp_path, kind):
    number = rounds(short=12, full=300)
    found = found_by("programs.py", "reader", tmp_path / KINDS[kind], number)
    figure(f"{kind}: loads while another program saves", str(found))
    assert found["wrong"] == []
    assert found["loads"] == number
    assert found["trees"] > 1  # it did save meanwhile
