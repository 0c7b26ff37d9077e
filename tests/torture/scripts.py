"""Running the scripts of this folder in a Python of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from torture.shim import HERE


def found_by(script: str, *arguments: object, timeout: float = 7000) -> Any:
    """What a script of this folder prints."""
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", HERE / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)
