"""Mutate what attributes of files look like, and decode it; run by run.py.

python tests/fuzz/attributes.py SECONDS
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from pathlib import Path

from memdata.formats import attributes

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus" / "attributes"

#: What an input is put together from, beside pieces of the others.
WORDS = [b'"', b"{", b"}", b"[", b"]", b":", b",", b"1e999", b"-0", b"9" * 400, b"null", b"NaN"]
WORDS += [b"\\ud800", b"\\u0000", b"\xff", b'"value"', b'"uuid"', b'"complex"', b'"dict"']
WORDS += [b"[" * 3000, b'{"a":' * 3000, attributes._KIND.encode(), attributes.JSON_PREFIX.encode()]


def check(data: bytes) -> None:
    """Any text is decoded, or stays text; what was decoded is stored, or refused as a type is."""
    for value in (data, data.decode("utf-8", "surrogateescape")):
        found = attributes.to_memory(value)
        if isinstance(found, str | bytes):
            continue
        try:
            stored = attributes.to_array(found)
        except (attributes.UnstorableAttribute, RecursionError):
            continue
        if isinstance(stored, str) and stored.startswith(attributes.JSON_PREFIX):
            assert attributes.to_array(attributes.to_memory(stored)) == stored, value


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """`data` with some pieces changed."""
    result = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(result))
        end = min(len(result), at + rng.choice([0, 1, 1, 4, 30]))
        other = rng.choice(others)
        begin = rng.randint(0, len(other))
        piece = rng.choice([b"", rng.randbytes(1), rng.choice(WORDS), other[begin : begin + 20]])
        result[at:end] = piece
    start = attributes.JSON_PREFIX.encode()
    return bytes(result) if rng.random() < 0.1 else start + bytes(result).removeprefix(start)


def main() -> None:
    """Mutate for as many seconds as asked for."""
    seconds = int(sys.argv[1])
    rng = random.Random()
    inputs = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        data = mutated(rng.choice(inputs), inputs, rng)
        number += 1
        try:
            check(data)
        except BaseException:
            findings = HERE / "findings"
            findings.mkdir(exist_ok=True)
            name = findings / f"attributes-{hashlib.sha1(data).hexdigest()}"
            name.write_bytes(data)
            print(f"broken by {name}")
            raise
    print(f"{number} strings")


if __name__ == "__main__":
    main()
