"""Damaged copies of bytes and text, the same for the same number; and trying many of them."""

from __future__ import annotations

import json
import mmap
import os
import random
import resource
import signal
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Found", "mutated_bytes", "mutated_text", "tried"]

#: Numbers that programs stumble over.
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)

#: Words of what is mutated, and of what breaks parsers.
_WORDS = (
    *("NaN", "-Infinity", "1e999", "-0", "1" * 400, "null", "true", "[", "]", "{", "}", '"', ":"),
    *(",", "\\u0000", "\\ud800", "\ud800", "\0", "[" * 50, '{"a":' * 50, "é", "\u202e", "../" * 9),
    *('"__memdata__"', '"uuid"', '"datetime"', '"complex"', '"type"', '"fields"', '"object"'),
    *("|O", "<f8", ">i4", "|V0", "|V99999999999", "<U999999999", "(2,3)<f4", "<M8[ns]", "|S-1"),
    *("pickle", "os.system", "__class__", "numpy.load", "9223372036854775808", "1970-01-01"),
)


def mutated_bytes(content: bytes, number: int) -> bytes:
    """A copy with one to four things wrong."""
    chance = random.Random(number)
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data)) if data else 0
        end = min(len(data), at + chance.choice((1, 2, 4, 8, 16, 64, 512)))
        match chance.randrange(8):
            case 0 | 1 if data:
                data[at] ^= 1 << chance.randrange(8)
            case 2 if data:
                data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
            case 3:
                value = struct.pack("<Q", chance.choice(_NUMBERS))
                data[at : at + 8] = value[: chance.choice((1, 2, 4, 8))]
            case 4:
                data[at:end] = bytes(chance.randrange(256) for _ in range(end - at))
            case 5:
                other = chance.randrange(len(data) + 1)
                data[at:end] = data[other : other + end - at]
            case 6:
                del data[at:end]
            case _ if chance.random() < 0.3:
                del data[at:]
            case _:
                data[at:at] = data[at:end]
    return bytes(data)


def mutated_text(text: str, number: int) -> str:
    """A copy with one to four things wrong."""
    chance = random.Random(number)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.choice((0, 1, 1, 2, 4, 9, 30)))
        match chance.randrange(5):
            case 0:
                new = ""
            case 1 | 2:
                new = chance.choice(_WORDS)
            case 3:
                other = chance.randrange(len(text) + 1)
                new = text[other : other + chance.randrange(20)]
            case _:
                new = chr(chance.choice((chance.randrange(128), chance.randrange(0x11000))))
        text = text[:at] + new + text[end:]
    return text


@dataclass
class Found:
    """What came of many trials."""

    #: How often what happened.
    counts: Counter[str] = field(default_factory=Counter)
    #: Trials with something that must not be: the number, and what it was.
    wrong: list[tuple[int, str]] = field(default_factory=list)
    #: Trials in which the process died: the number, and the signal or exit code.
    died: list[tuple[int, int]] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """As JSON has it."""
        return {"counts": dict(self.counts), "wrong": self.wrong, "died": self.died}


def tried(
    trial: Callable[[int], tuple[str, str | None]],
    numbers: range,
    *,
    more_memory: int,
    seconds: float = 10,
    batch: int = 2000,
    patient: bool = False,
    after_death: Callable[[], object] = lambda: None,
) -> Found:
    """Do all trials, in forked processes that may die.

    Parameters
    ----------
    trial : callable
        Called with a number; returns what happened, in a word, and what is wrong with that or None.
    numbers : range
        The trials.
    more_memory : int
        Bytes that a process may take beyond what it has in the beginning.
    seconds : float
        For one trial; who takes longer dies of SIGALRM.
    batch : int
        Trials of one process, if it does not die.
    patient : bool
        Whether one that takes longer is tried once more, with ten times as much: the machine may
        have had other things to do.
    after_death : callable
        Puts in order what a process that died has left.
    """
    found = Found()
    place = mmap.mmap(-1, 8)
    next_one = numbers.start
    again = -1
    while next_one < numbers.stop:
        last = min(numbers.stop, next_one + batch)
        receiver, sender = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                os.close(receiver)
                limit = 10 * seconds if next_one == again else seconds
                _work(trial, range(next_one, last), place, sender, more_memory, limit)
            finally:
                os._exit(1)
        os.close(sender)
        with os.fdopen(receiver) as stream:
            for line in stream:  # one for each trial, as it ends
                what, wrong, number = json.loads(line)
                found.counts[what] += 1
                if wrong is not None:
                    found.wrong.append((number, wrong))
        _, status = os.waitpid(process, 0)
        (at,) = struct.unpack("<q", place[:8])
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            next_one = last
            continue
        code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
        after_death()
        if code == signal.SIGALRM and patient and at != again:
            again = next_one = at
            continue
        found.died.append((at, code))
        next_one = at + 1
    return found


def _work(
    trial: Callable[[int], tuple[str, str | None]],
    numbers: range,
    place: mmap.mmap,
    sender: int,
    more_memory: int,
    seconds: float,
) -> None:
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more_memory, now + more_memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(sender, "w") as stream:
        for number in numbers:
            place[:8] = struct.pack("<q", number)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            what, wrong = trial(number)
            stream.write(json.dumps((what, wrong, number)) + "\n")
            stream.flush()
    os._exit(0)
