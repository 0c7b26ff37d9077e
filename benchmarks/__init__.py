"""How fast memdata is, each promise measured against a plain way of doing the same.

Run ``python -m benchmarks``; see ``python -m benchmarks --help``. `harness` says how things are
timed; each other module here declares the rows of one subject.
"""
