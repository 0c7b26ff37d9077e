"""Build the C extension ``memdata._cmemdata``; everything else is in pyproject.toml.

Switches, by environment variable:

``MEMDATA_WERROR=1``
    Compiler warnings are errors.
``MEMDATA_DEBUG=1``
    No optimisation, debug information, C assertions active.
``MEMDATA_SANITIZE=address,undefined``
    Build with these sanitizers (CONTRIBUTING.md says how to run with them).
``MEMDATA_COVERAGE=1``
    Count the executed lines for gcov.

``CC``, ``CFLAGS`` and ``LDFLAGS`` are honoured as usual. A change of any of these rebuilds.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = sorted(str(path) for path in Path("src/_cmemdata").glob("*.c"))
HEADERS = sorted(str(path) for path in Path("src/_cmemdata").glob("*.h"))
SWITCHES = ("WERROR", "DEBUG", "SANITIZE", "COVERAGE")
ENVIRONMENT = (*(f"MEMDATA_{name}" for name in SWITCHES), "CC", "CFLAGS", "LDFLAGS")


def switch(name: str) -> str:
    """Return the value of the environment variable ``MEMDATA_<name>``, or "" for off."""
    value = os.environ.get(f"MEMDATA_{name}", "")
    return "" if value == "0" else value


def compiler_and_linker_flags() -> tuple[list[str], list[str]]:
    """Return what the switches ask of the compiler and of the linker."""
    compiler = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-fvisibility=hidden", "-pthread"]
    linker = ["-pthread"]
    if switch("WERROR"):
        compiler.append("-Werror")
    if switch("DEBUG"):
        compiler += ["-O0", "-g3", "-UNDEBUG"]
    else:
        compiler.append("-O3")
    if sanitizers := switch("SANITIZE"):
        compiler += [f"-fsanitize={sanitizers}", "-fno-omit-frame-pointer", "-g"]
        compiler.append("-fno-sanitize-recover=all")  # undefined behaviour ends the program
        linker.append(f"-fsanitize={sanitizers}")
    if switch("COVERAGE"):
        compiler += ["--coverage", "-O0"]
        linker.append("--coverage")
    return compiler, linker


class BuildExt(build_ext):
    """``build_ext`` that compiles on all cores, and only what has changed."""

    def build_extensions(self) -> None:
        """Compile and link, anew if a switch or the compiler differs from last time."""
        if self.editable_mode:
            # pip builds in a temporary folder; keep the object files where `--inplace` has them.
            self.build_temp = f"build/temp.{self.plat_name}-{sys.implementation.cache_tag}"
        # Interpreters are configured with a compiler's full name; some machines have only gcc.
        if "CC" not in os.environ and not shutil.which(self.compiler.compiler_so[0]):
            self.use_compiler("gcc")
        self.compile_serially = self.compiler.compile
        self.compiler.compile = self.compile_changed
        stamp = Path(self.build_temp, "settings")
        settings = "\n".join(f"{name}={os.environ.get(name, '')}" for name in ENVIRONMENT)
        settings += f"\n{sysconfig.get_config_var('SOABI')} numpy {np.__version__}\n"
        if not stamp.exists() or stamp.read_text() != settings:
            self.force = True
        stamp.unlink(missing_ok=True)
        super().build_extensions()
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(settings)

    def use_compiler(self, name: str) -> None:
        """Put `name` in place of the compiler that the interpreter was built with."""
        self.compiler.set_executables(
            compiler=[name, *self.compiler.compiler[1:]],
            compiler_so=[name, *self.compiler.compiler_so[1:]],
            linker_so=[name, *self.compiler.linker_so[1:]],
        )

    def compile_changed(self, sources: list[str], output_dir: str, **options) -> list[str]:
        """Return the object files of `sources`, compiling those that are out of date."""
        objects = self.compiler.object_filenames(sources, output_dir=output_dir)
        newest_header = max(os.path.getmtime(path) for path in [*HEADERS, "setup.py"])

        def is_current(source: str, target: str) -> bool:
            return os.path.exists(target) and os.path.getmtime(target) > max(
                newest_header, os.path.getmtime(source)
            )

        todo = [
            source
            for source, target in zip(sources, objects, strict=True)
            if self.force or not is_current(source, target)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            # list() raises the first error of a compilation.
            list(
                pool.map(
                    lambda source: self.compile_serially(
                        [source], output_dir=output_dir, **options
                    ),
                    todo,
                )
            )
        return objects


compiler_flags, linker_flags = compiler_and_linker_flags()
setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=[
        Extension(
            "memdata._cmemdata",
            sources=SOURCES,
            depends=[*HEADERS, "setup.py"],
            include_dirs=[np.get_include()],
            extra_compile_args=compiler_flags,
            extra_link_args=linker_flags,
        )
    ],
)
