"""The command `memdata`: what each command prints, writes and returns."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import memdata
from _memdata_cli.listing import listed
from memdata import MemGroup
from memdata.cli import COMMANDS, main
from memdata.cli.output import as_json
from memdata.cli.selecting import index_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an HDF5 file, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    group = MemGroup()
    vis = group.create_dataset(
        "obs/vis", data=np.arange(40.0).reshape(4, 10), chunks=(2, 5), compression="gzip"
    )
    vis.attrs["axis"] = ("freq", "time")
    vis.attrs["units"] = "Jy"
    group["obs/flag"] = np.zeros(10, bool)
    group["index_map/time"] = np.arange(10.0)
    group.attrs["title"] = "a night"
    group.to_hdf5("night.h5")
    return tmp_path


@pytest.fixture
def run(capsys):
    """Run a command: its exit code, what it printed, what it complained of."""

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        found = capsys.readouterr()
        return code, found.out, found.err

    return call


def as_kind(kind):
    """night.h5, or the same as a zarr store."""
    if kind == "hdf5":
        return "night.h5"
    pytest.importorskip("zarr")
    MemGroup.from_file("night.h5").to_file("night.zarr", zarr_format=2)
    return "night.zarr"


both = pytest.mark.parametrize("kind", ["hdf5", "zarr"])


@both
class TestLooking:
    def test_ls(self, folder, run, kind):
        code, out, _err = run("ls", as_kind(kind) + "/obs")
        assert code == 0
        names = {line.split()[0]: line.split(None, 1)[1] for line in out.splitlines()}
        assert names == {"flag": "Dataset {10}", "vis": "Dataset {4, 10}"}

    def test_ls_long_recursive_with_attributes(self, folder, run, kind):
        _code, out, _err = run("ls", "-rla", as_kind(kind))
        assert "/obs/vis" in out
        assert "float64, 320 B, Jy, gzip" in out
        assert "@units = Jy" in out

    def test_tree(self, folder, run, kind):
        code, out, _err = run("tree", as_kind(kind), "-L", 1)
        assert code == 0
        assert "obs/" in out
        assert "vis" not in out

    def test_info(self, folder, run, kind):
        _code, out, _err = run("info", as_kind(kind), as_kind(kind) + "/obs/vis")
        assert "a night" in out
        assert "(4, 10)" in out
        assert "units       Jy" in out or "units        Jy" in out

    def test_head(self, folder, run, kind):
        _code, out, _err = run("head", as_kind(kind) + "/obs/vis", "-s", "1,::3")
        assert out == "[10. 13. 16. 19.]\n"
        _code, out, _err = run("head", as_kind(kind) + "/index_map/time", "-n", 3)
        assert out == "[0. 1. 2.]\n"

    def test_json(self, folder, run, kind):
        name = as_kind(kind)
        for words in (["ls", "-r", name], ["tree", name]):
            nodes = json.loads(run(*words, "--json")[1])[0]["nodes"]
            (vis,) = [node for node in nodes if node["path"] == "/obs/vis"]
            assert vis["shape"] == [4, 10]
            assert vis["dtype"] == "float64"
            assert vis["chunks"] == [2, 5]
            assert vis["attributes"]["units"] == "Jy"
        (about,) = json.loads(run("info", name + "/obs", "--json")[1])
        assert about["kind"] == "group"
        assert about["children"] == 2
        (read,) = json.loads(run("head", name + "/index_map/time", "--json")[1])
        assert read["values"] == list(range(10))

    def test_verify(self, folder, run, kind):
        code, out, _err = run("verify", as_kind(kind))
        told = "3 datasets, 0 compared with checksums: no damage\n"
        assert (code, out.split(": ", 1)[1]) == (0, told)

    def test_verify_a_part(self, folder, run, kind):
        name = as_kind(kind)
        for part, count in (("obs", 2), ("obs/vis", 1)):
            code, out, _err = run("verify", "--json", f"{name}/{part}")
            (found,) = json.loads(out)
            assert (code, found["ok"], found["datasets"]) == (0, True, count)
        assert run("verify", f"{name}/none")[0] == 2

    def test_checksums_kept_by_convert_are_compared(self, folder, run, kind):
        new = "sums" + os.path.splitext(as_kind(kind))[1]
        assert run("convert", as_kind(kind), new, "--checksum")[0] == 0
        code, out, _err = run("verify", "--json", new)
        (found,) = json.loads(out)
        assert (code, found["datasets"], found["checked"]) == (0, 3, 3)


class TestLs:
    @pytest.mark.skipif(shutil.which("h5ls") is None, reason="h5ls is not installed")
    @pytest.mark.parametrize("options", [[], ["-r"]])
    def test_as_h5ls(self, folder, run, options):
        with h5py.File("odd.h5", "w") as file:
            file["a/scalar"] = 1
            file["a/null"] = h5py.Empty("f4")
            file["a/text"] = "text"
            file.create_dataset("a/grows", (2, 3), "f4", maxshape=(None, 5))
            file["hard"] = file["a"]
            file["soft"] = h5py.SoftLink("/a/text")
            file["nowhere"] = h5py.SoftLink("/none")
            file["other"] = h5py.ExternalLink("other.h5", "/x")
            file["type"] = np.dtype("i2")
        words = subprocess.run(["h5ls", *options, "odd.h5"], capture_output=True, text=True)
        assert run("ls", *options, "odd.h5")[1] == words.stdout


def in_styles(folder):
    """Files in which HDF5 keeps groups in all its ways: small and large, old and new."""
    for count in (0, 1, 9, 400, 1500):
        for style in ({}, {"track_order": True}, {"libver": "latest"}):
            name = folder / f"{count}_{''.join(style)}.h5"
            with h5py.File(name, "w", **style) as file:
                group = file.create_group("sub", track_order="track_order" in style)
                for number in range(count):
                    if number % 50 == 3:
                        most = (None, 5) if number % 3 else None
                        group.create_dataset(f"d{number}", (number, 2), "f4", maxshape=most)
                    else:
                        group.create_group(f"a_long_name_of_a_group_{number}")
                file["soft"], file["other"] = h5py.SoftLink("/sub"), h5py.ExternalLink("a.h5", "/b")
                file["type"], file["one"] = np.dtype("i2"), 1
                file["null"] = h5py.Empty("f4")
                file["sub"].attrs.update({f"a{k}": k for k in range(20)})
            yield str(name)


class TestFastLs:
    """What reads names itself agrees with what asks h5py, or leaves it to that."""

    @pytest.mark.parametrize("recursive", [False, True])
    def test_every_way_to_keep_a_group(self, tmp_path, run, recursive):
        for name in in_styles(tmp_path):
            fast = listed([name], recursive)
            assert fast is not None, name
            assert fast == run("ls", name, *(["-r"] if recursive else []))[1], name

    def test_what_is_removed_is_not_listed(self, tmp_path, run):
        for name in in_styles(tmp_path):
            with h5py.File(name, "r+") as file:
                for number, child in enumerate(list(file["sub"])):
                    if number % 3:
                        del file["sub"][child]
            assert listed([name], True) == run("ls", "-r", name)[1]

    @pytest.mark.parametrize("name", ["two\nlines", "\x1b[31m"])
    def test_names_to_be_escaped_are_left_to_others(self, tmp_path, name):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file[name] = 1
        assert listed([str(tmp_path / "x.h5")], False) is None

    def test_what_is_no_ordinary_file_is_left_to_others(self, tmp_path):
        with h5py.File(tmp_path / "block.h5", "w", userblock_size=512) as file:
            file["x"] = 1
        (tmp_path / "empty.h5").touch()
        (tmp_path / "text.h5").write_text("no HDF5, but long enough to look like it")
        with h5py.File(tmp_path / "circle.h5", "w") as file:
            file["a/b"] = file["/"]
        for name in ("block", "empty", "text", "circle", "none"):
            assert listed([str(tmp_path / f"{name}.h5")], True) is None, name
        assert listed([str(tmp_path)], False) is None

    def test_a_file_that_is_being_written(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = 1
            file.flush()
            assert listed([str(tmp_path / "x.h5")], False) is None

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_damaged_files_are_never_more_than_left_to_others(self, tmp_path, data):
        name = tmp_path / "x.h5"
        if not name.exists():
            for made in in_styles(tmp_path):
                if made.endswith(("9_libver.h5", "9_.h5", "400_track_order.h5")):
                    shutil.copy(made, tmp_path / f"keep_{os.path.basename(made)}")
            name.touch()
        source = data.draw(st.sampled_from(sorted(tmp_path.glob("keep_*"))))
        raw = bytearray(source.read_bytes())
        for _change in range(data.draw(st.integers(1, 20))):
            place = data.draw(st.integers(0, len(raw) - 1))
            raw[place] = data.draw(st.sampled_from([0, 1, 7, 127, 255]))
        damaged = tmp_path / "damaged.h5"
        damaged.write_bytes(raw[: data.draw(st.integers(1, len(raw)))])
        assert isinstance(listed([str(damaged)], True), str | None)

    def test_the_command_imports_neither_numpy_nor_h5py(self, folder):
        from support import run_python

        run_python(
            """
            import sys
            from _memdata_cli import main
            sys.argv = ["memdata", "ls", "-r", "night.h5"]
            assert main() == 0
            for heavy in ("numpy", "h5py", "memdata", "argparse", "re", "typing"):
                assert heavy not in sys.modules, heavy
            """,
            cwd=folder,
        )

    def test_all_else_goes_to_the_whole_command(self, folder, monkeypatch, capsys):
        from _memdata_cli import main as start

        monkeypatch.setattr(sys, "argv", ["memdata", "ls", "-l", "night.h5"])
        assert start() == 0
        assert "index_map" in capsys.readouterr().out


class TestHead:
    def test_rows_and_strings(self, folder, run):
        with h5py.File("s.h5", "w") as file:
            file["text"] = ["grün", "blue"]
            file["one"] = 7
            file["wide"] = np.zeros((50, 1000))
        assert "grün" in run("head", "s.h5/text")[1]
        assert run("head", "s.h5/one")[1] == "7\n"
        assert len(run("head", "s.h5/wide", "-n", 4)[1].splitlines()) == 4

    def test_of_a_group_says_what_to_do(self, folder, run):
        code, _out, err = run("head", "night.h5/obs")
        assert code == 2
        assert "memdata ls night.h5/obs" in err


class TestTroubles:
    @pytest.mark.parametrize(
        "words", [["ls"], ["tree"], ["info"], ["head"], ["verify"], ["rescue", "new.h5"]]
    )
    def test_a_missing_file_and_what_is_near(self, folder, run, words):
        code, _out, err = run(words[0], "nigth.h5", *words[1:])
        assert code == 2
        assert "did you mean 'night.h5'" in err

    def test_a_missing_path_and_what_is_near(self, folder, run):
        code, _out, err = run("info", "night.h5/obs/viss")
        assert code == 2
        assert "did you mean 'vis'" in err
        assert "is a dataset" in run("info", "night.h5/obs/vis/x")[2]

    def test_a_folder_and_what_is_no_hdf5(self, folder, run):
        assert "not a zarr store" in run("ls", folder)[2]
        (folder / "x.h5").write_text("no")
        code, _out, err = run("ls", "x.h5")
        assert code == 2
        assert "not an HDF5 file" in err

    def test_wrong_usage(self, run):
        assert run("nothing")[0] == 2
        assert run("ls")[0] == 2
        code, out, _err = run("--help")
        assert code == 0
        assert all(command in out for command in COMMANDS)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_tells_of_exit_codes(self, run, command):
        code, out, _err = run(command, "--help")
        assert code == 0
        assert "exit codes:" in out
        assert "--json" in out

    def test_what_a_terminal_would_obey_is_escaped(self, folder, run):
        with h5py.File("e.h5", "w") as file:
            file["\x1b[31m"] = 1
            file["text"] = "\x1b]0;x\x07"
        for words in (["ls", "e.h5"], ["tree", "e.h5"], ["info", "e.h5"], ["head", "e.h5/text"]):
            assert "\x1b" not in run(*words)[1]


@pytest.fixture
def damaged(folder):
    """bad.h5, made from night.h5 with checksums: a chunk of it is lost, and an element changed."""
    MemGroup.from_hdf5("night.h5").to_hdf5("bad.h5", checksum=True)
    with h5py.File("bad.h5", "r+") as file:
        chunk = file["obs/vis"].id.get_chunk_info(1)
        file["index_map/time"][3] = -1
    with open("bad.h5", "r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(bytes(chunk.size))
    return "bad.h5"


class TestVerify:
    def test_damage_is_told_with_its_place(self, damaged, run):
        code, out, _err = run("verify", damaged, "night.h5")
        assert code == 1
        time, vis, bad, good = out.splitlines()
        assert time.startswith("bad.h5: /index_map/time[0:10]: changed: ")
        assert vis.startswith("bad.h5: /obs/vis[0:2, 5:10]: unreadable: ")
        assert bad == "bad.h5: 3 datasets, 3 compared with checksums: 2 places damaged"
        assert good == "night.h5: 3 datasets, 0 compared with checksums: no damage"

    def test_json_has_what_verify_returns(self, damaged, run):
        code, out, _err = run("verify", "--json", damaged)
        (found,) = json.loads(out)
        told = memdata.verify(damaged)
        assert code == 1
        assert not found["ok"]
        assert [found[name] for name in ("datasets", "checked", "nbytes")] == [3, 3, told.nbytes]
        for one, damage in zip(found["damages"], told.damages, strict=True):
            index = [[part.start, part.stop] for part in damage.index]
            assert one == {
                "path": damage.path, "what": damage.what, "text": damage.text, "index": index
            }  # fmt: skip

    @pytest.mark.parametrize(
        ("part", "places"),
        [
            ("obs", ["/obs/vis"]),
            ("obs/vis", ["/obs/vis"]),
            ("index_map", ["/index_map/time"]),
            ("index_map/time", ["/index_map/time"]),
            ("obs/flag", []),
        ],
    )
    def test_of_a_part_only_that_counts(self, damaged, run, part, places):
        code, out, _err = run("verify", "--json", f"{damaged}/{part}")
        (found,) = json.loads(out)
        assert code == bool(places)
        assert [damage["path"] for damage in found["damages"]] == places

    def test_what_cannot_be_opened_is_damaged(self, folder, run):
        (folder / "x.h5").write_text("no")
        code, out, _err = run("verify", "x.h5", "x.h5/part")
        assert code == 1
        assert out.startswith("x.h5: /: unreadable: ")
        assert "x.h5/part: /part: unreadable: " in out

    def test_quiet(self, damaged, run):
        assert run("verify", "-q", damaged) == (1, "", "")


class TestRescue:
    def test_what_can_be_read_is_copied(self, damaged, run):
        code, out, _err = run("rescue", damaged, "new.h5")
        assert code == 1
        vis, time, new = out.splitlines()
        assert vis.startswith("bad.h5: /obs/vis[0:2, 5:10]: unreadable: ")
        assert time.startswith("bad.h5: /index_map/time[0:10]: changed: ")
        assert new == "new.h5: 3 datasets: 1 place lost, 1 changed"
        expected = np.arange(40.0).reshape(4, 10)
        expected[:2, 5:] = 0
        with h5py.File("new.h5") as file:
            assert np.array_equal(file["obs/vis"], expected)
            assert file["obs/vis"].attrs["units"] == "Jy"
            assert list(file["index_map/time"]) == [0, 1, 2, -1, 4, 5, 6, 7, 8, 9]

    @both
    def test_a_good_file_is_copied_whole(self, folder, run, kind):
        name = as_kind(kind)
        assert run("rescue", name, "new.h5") == (0, "new.h5: 3 datasets: all of it\n", "")
        assert run("diff", "night.h5", "new.h5")[0] == 0

    def test_json(self, damaged, run):
        code, out, _err = run("rescue", "--json", damaged, "new.h5")
        found = json.loads(out)
        assert code == 1
        assert (found["file"], found["out"], found["datasets"]) == (damaged, "new.h5", 3)
        assert not found["complete"]
        places = [(one["path"], one["index"]) for one in found["lost"] + found["changed"]]
        assert places == [("/obs/vis", [[0, 2], [5, 10]]), ("/index_map/time", [[0, 10]])]

    def test_what_is_there_is_not_replaced_unless_asked(self, damaged, run):
        with open("new.h5", "w") as file:
            file.write("mine")
        code, out, err = run("rescue", damaged, "new.h5")
        assert (code, out) == (2, "")
        assert "--overwrite" in err
        with open("new.h5") as file:
            assert file.read() == "mine"
        assert run("rescue", "-q", "--overwrite", damaged, "new.h5") == (1, "", "")
        with h5py.File("new.h5") as file:
            assert list(file) == ["index_map", "obs"]

    def test_never_into_itself(self, damaged, run):
        code, _out, err = run("rescue", "--overwrite", damaged, damaged)
        assert code == 2
        assert "into itself" in err

    def test_a_file_of_which_nothing_can_be_read(self, folder, run):
        (folder / "x.h5").write_text("no")
        assert run("rescue", "x.h5", "new.h5")[0] == 2
        assert not os.path.exists("new.h5")

    def test_a_part_is_refused_with_the_way(self, damaged, run):
        code, _out, err = run("rescue", f"{damaged}/obs", "new.h5")
        assert code == 2
        assert "write bad.h5" in err


class TestDiff:
    def test_exit_codes_and_json(self, folder, run):
        shutil.copy("night.h5", "other.h5")
        assert run("diff", "night.h5", "other.h5") == (0, "", "")
        with h5py.File("other.h5", "r+") as file:
            file["obs/flag"][3] = True
        code, out, _err = run("diff", "night.h5", "other.h5")
        assert code == 1
        assert "/obs/flag" in out
        assert run("diff", "-q", "night.h5", "other.h5")[:2] == (1, "")
        found = json.loads(run("diff", "--json", "night.h5", "other.h5")[1])
        assert not found["equal"]
        assert found["differences"][0]["path"] == "/obs/flag"
        assert run("diff", "night.h5", "none.h5")[0] == 2


class TestConvert:
    @pytest.mark.parametrize("zarr_format", [2, 3])
    def test_to_zarr_and_back(self, folder, run, zarr_format):
        pytest.importorskip("zarr")
        assert run("convert", "night.h5", "n.zarr", "--zarr-format", zarr_format)[0] == 0
        assert run("convert", "n.zarr", "back.h5")[0] == 0
        assert not memdata.diff("night.h5", "back.h5", filters=True)

    def test_chunks_and_compression(self, folder, run):
        words = ["-c", "obs=lzf", "-c", "time=gzip:9", "--chunks", "vis=4,0", "--shuffle"]
        assert run("convert", "night.h5", "n.h5", *words)[0] == 0
        assert not memdata.diff("night.h5", "n.h5")
        with h5py.File("n.h5") as file:
            assert file["obs/vis"].chunks == (4, 10)
            assert file["obs/vis"].compression == "lzf"
            assert file["obs/vis"].shuffle
            assert file["index_map/time"].compression_opts == 9

    def test_uncompressed_and_contiguous(self, folder, run):
        assert run("convert", "night.h5", "n.h5", "-c", "none", "--chunks", "none")[0] == 0
        with h5py.File("n.h5") as file:
            assert file["obs/vis"].chunks is None
        assert not memdata.diff("night.h5", "n.h5")
        code, _out, err = run("convert", "night.h5", "m.h5", "--chunks", "none")
        assert code == 2
        assert "-c none" in err
        assert not os.path.exists("m.h5")

    def test_by_a_filter_of_a_plugin(self, folder, run):
        pytest.importorskip("hdf5plugin")
        assert run("convert", "night.h5", "n.h5", "-c", "vis=zstd:3")[0] == 0
        assert "zstd 3" in run("tree", "n.h5")[1]

    def test_a_part(self, folder, run):
        words = ["--only", "obs", "--exclude", "flag", "-s", "obs/vis=1:3,::2"]
        assert run("convert", "night.h5", "n.h5", *words)[0] == 0
        with h5py.File("n.h5") as file:
            assert list(file) == ["obs"]
            assert list(file["obs"]) == ["vis"]
            np.testing.assert_array_equal(file["obs/vis"], np.arange(40.0).reshape(4, 10)[1:3, ::2])
            assert file.attrs["title"] == "a night"

    def test_names_of_one_dataset_are_chosen_one_by_one(self, folder, run):
        with h5py.File("links.h5", "w") as file:
            file["a/first"] = np.arange(30_000)
            file["b/second"] = file["b/third"] = file["a/first"]
            file["c"] = 1
        assert run("convert", "links.h5", "n.h5", "--only", "b", "--exclude", "third")[0] == 0
        assert run("convert", "links.h5", "m.h5", "--exclude", "second")[0] == 0
        with h5py.File("n.h5") as file:
            assert (list(file), list(file["b"])) == (["b"], ["second"])
            assert np.array_equal(file["b/second"], np.arange(30_000))
        with h5py.File("m.h5") as file:
            assert file["a/first"] == file["b/third"]
            assert list(file["b"]) == ["third"]

    def test_a_group_of_a_file(self, folder, run):
        assert run("convert", "night.h5/obs", "n.h5")[0] == 0
        with h5py.File("n.h5") as file:
            assert sorted(file) == ["flag", "vis"]

    def test_what_is_there_is_not_replaced_unless_asked(self, folder, run):
        code, _out, err = run("convert", "night.h5", "night.h5")
        assert code == 2
        assert "-f" in err
        assert run("convert", "-f", "-c", "none", "night.h5", "night.h5")[0] == 0
        with h5py.File("night.h5") as file:
            assert file["obs/vis"].compression is None

    def test_a_warning_is_one_line(self, folder, run):
        pytest.importorskip("zarr")
        run("convert", "night.h5", "lzf.h5", "-c", "lzf")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.filters", [])
            code, _out, err = run("convert", "lzf.h5", "n.zarr")
        assert code == 0
        assert err.startswith("memdata: n.zarr: filters without a counterpart were replaced:")
        assert "UserWarning" not in err

    def test_json(self, folder, run):
        found = json.loads(run("convert", "night.h5", "n.h5", "--json")[1])
        assert found["datasets"] == 3
        assert found["target_bytes"] == os.path.getsize("n.h5")

    @pytest.mark.parametrize(
        "words",
        [
            ["-c", "nothing"],
            ["-c", "gzip:x"],
            ["--chunks", "1,x"],
            ["-s", "vis"],
            ["-s", "vis=a"],
            ["--only", "none"],
            ["--zarr-format", "2"],
            ["-s", "none=1"],
        ],
        ids=" ".join,
    )
    def test_wrong_options_write_nothing(self, folder, run, words):
        code, _out, err = run("convert", "night.h5", "n.h5", *words)
        assert code == 2
        assert err.startswith("memdata convert: ")
        assert not os.path.exists("n.h5")

    def test_a_dataset_alone_is_refused_with_the_way(self, folder, run):
        assert "--only obs/vis" in run("convert", "night.h5/obs/vis", "n.h5")[2]

    def test_a_large_file_is_not_loaded_whole(self, folder, run):
        """256 MiB of a sparse file pass through less memory than that."""
        with h5py.File("large.h5", "w") as file:
            file.create_dataset("x", (1 << 12, 1 << 13), "f8", chunks=(1 << 8, 1 << 8))
        code = """
            import resource, sys
            from memdata.cli import main
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert main(["convert", "large.h5", "n.h5", "--chunks", "64,0", "-c", "lzf"]) == 0
            print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
        """
        from support import run_python

        assert int(run_python(code, cwd=folder).split()[-1]) < 200


class TestCat:
    @pytest.fixture
    def parts(self, folder):
        for number in range(3):
            group = MemGroup()
            length = 5 + number
            vis = group.create_dataset("vis", data=np.full((4, length, 2), number, "f4"))
            vis.attrs["axis"] = ["freq", "time", "pol"]
            weight = group.create_dataset("weight", data=np.full((length,), 0.5))
            weight.attrs["axis"] = ["time"]
            group["index_map/time"] = np.arange(length) + 10.0 * number
            group["index_map/freq"] = np.arange(4.0)
            group.to_hdf5(f"p{number}.h5")
        return ["p0.h5", "p1.h5", "p2.h5"]

    def test_with_checksums(self, parts, run):
        assert run("cat", *parts, "-o", "all.h5", "--checksum")[0] == 0
        found = memdata.verify("all.h5")
        assert (found.ok, found.datasets, found.checked) == (True, 4, 4)

    def test_along_a_named_axis(self, parts, run):
        assert run("cat", *parts, "-o", "all.h5")[0] == 0
        with h5py.File("all.h5") as file:
            files = [h5py.File(name) for name in parts]
            np.testing.assert_array_equal(
                file["vis"], np.concatenate([one["vis"] for one in files], axis=1)
            )
            for name in ("weight", "index_map/time"):
                np.testing.assert_array_equal(
                    file[name], np.concatenate([one[name] for one in files])
                )
            assert file["index_map/freq"].shape == (4,)
            assert file["vis"].attrs["axis"].tolist() == ["freq", "time", "pol"]

    def test_along_a_numbered_axis_into_zarr(self, parts, run):
        pytest.importorskip("zarr")
        words = ["--axis", "1", "--only", "vis", "-o", "all.zarr", "--json"]
        found = json.loads(run("cat", *parts, *words)[1])
        assert found["joined"] == ["/vis"]
        assert MemGroup.from_file("all.zarr")["vis"].shape == (4, 18, 2)

    def test_parts_that_do_not_fit(self, parts, run):
        code, _out, err = run("cat", *parts, "--axis", "freq", "-o", "all.h5")
        assert code == 2
        assert "p1.h5: /vis has the shape" in err
        assert not os.path.exists("all.h5")

    def test_what_is_not_joined_has_to_be_the_same(self, parts, run):
        with h5py.File("p1.h5", "r+") as file:
            file["index_map/freq"][2] = 9.0
        code, _out, err = run("cat", *parts, "-o", "all.h5")
        assert code == 2
        assert "p1.h5: /index_map/freq" in err
        assert run("cat", *parts, "-o", "all.h5", "--keep-first")[0] == 0

    def test_an_axis_that_nothing_has(self, parts, run):
        assert "no dataset has the axis" in run("cat", *parts, "--axis", "x", "-o", "a.h5")[2]

    def test_larger_pieces(self, folder, run):
        arrays = [np.random.default_rng(k).random((70, 300 + k)) for k in range(3)]
        for number, array in enumerate(arrays):
            with h5py.File(f"q{number}.h5", "w") as file:
                file.create_dataset("x", data=array, chunks=(10, 50), compression="gzip")
        assert run("cat", *(f"q{k}.h5" for k in range(3)), "--axis", 1, "-o", "q.h5")[0] == 0
        with h5py.File("q.h5") as file:
            np.testing.assert_array_equal(file["x"], np.concatenate(arrays, axis=1))


class TestDoctor:
    def test_says_what_is_there(self, run, tmp_path):
        code, out, _err = run("doctor", tmp_path)
        assert code == 0, out
        for name in ("Python", "NumPy", "h5py", "MPI", "mover direct", "mover mpio", "filters"):
            assert name in out
        found = json.loads(run("doctor", tmp_path, "--json")[1])
        assert {one["state"] for one in found} <= {"good", "missing"}
        assert not list(tmp_path.iterdir())

    def test_a_missing_package_and_how_to_get_it(self, run, tmp_path, monkeypatch):
        from memdata.cli import doctor

        def missing(name):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        monkeypatch.setattr(doctor.importlib, "import_module", missing)
        found = doctor._optional("tqdm", "progress", "progress bars")
        assert found.state == "missing"
        assert "memdata[progress]" in found.advice

    def test_a_broken_folder_is_found(self, run, tmp_path):
        code, out, _err = run("doctor", tmp_path / "none")
        assert code == 1
        assert "!!" in out


class TestBench:
    def test_measures_and_cleans_up(self, run, tmp_path):
        words = ["bench", tmp_path, "--size", "256K", "--repeat", 1, "-c", "gzip", "--json"]
        code, out, err = run(*words)
        assert code == 0, err
        rows = json.loads(out)["rows"]
        assert [row["what"] for row in rows] == ["save", "load", "save, gzip", "load, gzip"]
        assert all(row["memdata"] > 0 for row in rows)
        assert not list(tmp_path.iterdir())
        assert run("bench", tmp_path, "--size", "x")[0] == 2


class TestCompletion:
    @pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
    def test_bash(self, run, tmp_path):
        (tmp_path / "script").write_text(run("completion", "bash")[1])
        ask = """
            source ./script
            COMP_WORDS=(memdata {}); COMP_CWORD={}; _memdata; echo "${{COMPREPLY[@]}}"
        """
        for words, place, wanted in (("con", 1, ["convert"]), ("cat --ax", 2, ["--axis"])):
            made = subprocess.run(
                ["bash", "-c", ask.format(words, place)],
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
            assert made.stdout.split() == wanted, made.stderr

    @pytest.mark.parametrize("shell", ["zsh", "fish"])
    def test_others(self, run, shell):
        code, out, _err = run("completion", shell)
        assert code == 0
        assert "convert" in out

    def test_an_unknown_shell(self, run, monkeypatch):
        monkeypatch.setenv("SHELL", "/bin/csh")
        assert run("completion")[0] == 2


class TestIndices:
    @given(st.lists(st.one_of(st.integers(-9, 9), st.slices(9)), min_size=1, max_size=4))
    def test_written_and_read_again(self, items):
        def said(item):
            if isinstance(item, int):
                return str(item)
            return ":".join("" if n is None else str(n) for n in (item.start, item.stop, item.step))

        assert index_of(", ".join(map(said, items))) == tuple(items)

    @pytest.mark.parametrize("text", ["a", "1:2:3:4", "1.5", "[a]", ":x"])
    def test_what_is_none(self, text):
        with pytest.raises(ValueError, match="no index"):
            index_of(text)


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
        st.complex_numbers(), st.datetimes(),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


class TestJson:
    @settings(suppress_health_check=[HealthCheck.too_slow])
    @given(values)
    def test_any_value_is_strict_json(self, value):
        json.dumps(as_json(value), allow_nan=False).encode()

    @pytest.mark.parametrize(
        "value",
        [
            np.array([1.0, np.nan]),
            np.array([b"a"]),
            np.array([(1, 2.0)], "i4,f8"),
            np.array(["2020-01-01"], "M8[D]"),
            np.float32("inf"),
            np.array([1 + 2j]),
            h5py.Empty("f4"),
        ],
        ids=str,
    )
    def test_of_numpy(self, value):
        json.dumps(as_json(value), allow_nan=False)


class TestProgram:
    """The few things that need a process of their own."""

    def test_as_a_module(self, folder):
        words = [sys.executable, "-m", "memdata", "ls", "night.h5"]
        made = subprocess.run(words, capture_output=True, text=True, check=True)
        assert [line.split()[0] for line in made.stdout.splitlines()] == ["index_map", "obs"]

    def test_a_reader_that_has_seen_enough(self, folder):
        with h5py.File("many.h5", "w") as file:
            for number in range(3000):
                file.create_group(f"a_rather_long_name_of_a_group_{number}")
        command = f"{shlex.quote(sys.executable)} -m memdata ls -l many.h5"
        code = f"{command} | head -1; exit ${{PIPESTATUS[0]}}"
        made = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
        assert (made.returncode, made.stderr) == (0, "")


@pytest.mark.parametrize("count", [3, 40])
def test_the_fast_list_leaves_structures_with_wrong_checksums_to_hdf5(tmp_path, count):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for index in range(count):
            file[f"name{index}"] = index
    sound = listed([str(path)], recursive=True)
    assert sound is not None
    content = path.read_bytes()
    for at in range(0, len(content), 1 + len(content) // 150):
        damaged = bytearray(content)
        damaged[at] ^= 4
        path.write_bytes(damaged)
        assert listed([str(path)], recursive=True) in (sound, None), at
