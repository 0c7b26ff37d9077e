"""The inputs that fuzzing has kept (`make fuzz`, tests/fuzz/run.py) break no promise."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from fuzz import attributes, run

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def compiler():
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler here")
    return found


@pytest.mark.parametrize("target", run.TARGETS)
def test_kept_inputs_of_the_c_side(target, compiler, tmp_path, monkeypatch):
    monkeypatch.delenv("LD_PRELOAD", raising=False)  # of a run with sanitizers
    try:
        program = run.compile_target(target, tmp_path, compiler, *SANITIZERS)
    except subprocess.CalledProcessError:  # a compiler without them
        program = run.compile_target(target, tmp_path, compiler)
    inputs = sorted((run.CORPUS / target).iterdir())
    assert len(inputs) > 50
    result = subprocess.run([program, *inputs], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout == f"{len(inputs)} inputs\n"


def test_kept_and_mutated_attributes():
    inputs = [path.read_bytes() for path in sorted(attributes.CORPUS.iterdir())]
    rng = random.Random(0)
    for data in inputs:
        attributes.check(data)
    for _ in range(2000):
        attributes.check(attributes.mutated(rng.choice(inputs), inputs, rng))
