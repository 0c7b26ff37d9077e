"""What importing memdata costs a program that has NumPy, in a new interpreter each time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from .harness import Names, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

subject = Subject("Importing, against importing NumPy")


@subject.row(
    "import memdata", anchor='run("import numpy")', ours='run("import memdata")', target=1.15
)
def interpreter() -> Iterator[Names]:
    # As installed programs are: compiled once, and not again.
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }

    def run(statement: str) -> None:
        subprocess.run([sys.executable, "-c", statement], env=environment, check=True)

    run("import memdata")
    yield {"run": run}
