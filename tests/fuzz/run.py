"""Fuzz the C files without Python, and the decoder of attributes.

    python tests/fuzz/run.py [SECONDS] [TARGET ...]

Each target runs for so many seconds (30) from the inputs kept in `corpus/TARGET`; what it finds new
is added there, what breaks a promise is left in this folder's `findings` and ends the program. The
targets in C need clang with libFuzzer (Debian: clang and libclang-rt-dev).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent.parent / "src" / "_cmemdata"
CORPUS = HERE / "corpus"
FINDINGS = HERE / "findings"

#: Target in C -> the files it tests.
TARGETS = {
    "path": ["path.c"],
    "split": ["split.c"],
    "kernels": ["kernels.c", "bytefilters.c", "strided.c"],
}
_FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]


def compile_target(
    target: str, folder: Path, compiler: str, *flags: str, replay: bool = True
) -> Path:
    """Build a target into `folder`; with `replay` its arguments are the inputs it is fed."""
    program = folder / target
    files = [HERE / f"{target}.c", *(SOURCES / name for name in TARGETS[target])]
    if replay:
        files.append(HERE / "replay.c")
    command = [compiler, *_FLAGS, *flags, f"-I{SOURCES}", "-o", program, *files]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return program


def fuzz_c(target: str, seconds: int) -> None:
    """Run libFuzzer, then keep what reaches something new."""
    if shutil.which("clang") is None:
        sys.exit("fuzzing needs clang with libFuzzer (Debian: clang and libclang-rt-dev)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flags = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
        try:
            program = compile_target(target, folder, "clang", *flags, replay=False)
        except subprocess.CalledProcessError as error:
            sys.exit(f"clang cannot build {target} (is libFuzzer there?):\n{error.stderr}")
        FINDINGS.mkdir(exist_ok=True)
        (folder / "new").mkdir()
        limits = [f"-max_total_time={seconds}", "-max_len=256", f"-artifact_prefix={FINDINGS}/"]
        quiet = ["-verbosity=0", "-print_final_stats=1"]
        subprocess.run([program, *limits, *quiet, folder / "new", CORPUS / target], check=True)
        subprocess.run(
            [program, "-merge=1", "-verbosity=0", CORPUS / target, folder / "new"],
            check=True,
            capture_output=True,
        )


def main() -> None:
    """Fuzz what the arguments name, or everything."""
    arguments = sys.argv[1:]
    seconds = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 30
    for target in arguments or [*TARGETS, "attributes"]:
        print(f"{target}: {seconds} s", flush=True)
        if target == "attributes":
            command = [sys.executable, HERE / "attributes.py", str(seconds)]
            subprocess.run(command, check=True, env=os.environ)
        else:
            fuzz_c(target, seconds)


if __name__ == "__main__":
    main()
