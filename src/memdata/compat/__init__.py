"""Standing in for `caput.memdata`, so that programs written for it run on memdata unchanged.

After `install`, importing one of these modules gives memdata's names:

============================  ==================================================
``caput.memdata``             `memdata`
``caput.memdata._memh5``      `memdata._memh5`
``caput.memdata._io``         `memdata._io`
``caput.memdata.fileformats`` `memdata.fileformats`
``caput.mpiarray``            `memdata.mpiarray`
``caput.memh5``               `memdata._memh5`; the name in older releases
``caput.fileformats``         `memdata.fileformats`; the name in older releases
``caput.misc``                its ``lock_file``; all else stays caput's
``caput.mpiutil``             the functions of `memdata.mpitools`; all else stays caput's
============================  ==================================================

All other modules of an installed caput stay caput's, and run on memdata. Where caput is not
installed, there is a package ``caput`` with only these modules, and ``caput.util.mpitools``.

A script is run that way with ``python -m memdata.compat script.py``, a test suite with
``pytest -p memdata.compat.pytest_plugin``.
"""

from memdata.compat.installing import Installation, install, is_installed, uninstall

__all__ = ["Installation", "install", "is_installed", "uninstall"]
