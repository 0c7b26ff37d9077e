"""Timing one statement against another.

A row of the table is two statements, the *anchor* (the plain way: a dict, an ndarray, a ``write``)
and *ours* (the same with memdata), and the number of times longer that ours may take. Statements
are compiled into a loop, so they cost what they cost in a user's function: names are local
variables, there is no call around them, and the interpreter specialises them as it does there.

What makes the numbers hold on a busy machine:

* Both statements run in turns (A B A B ...), so that both meet the same machine.
* The best of many short samples is taken: what disturbs a sample only makes it longer. Sampling
  goes on until the best of both has not moved for a while. Where the median of the ratios tells
  another story than the ratio of the best, the table says so.
* Short statements are repeated within the loop, so that the loop costs next to nothing; both
  sides have the same loop and the same repeats.
* The garbage collector stays on, as users have it.
"""

from __future__ import annotations

import itertools
import math
import statistics
import textwrap
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

#: The names that the two statements of a row use, with their values.
Names: TypeAlias = "dict[str, Any]"

_LOOP = """
def loop(_rounds, _clock, {names}):
    _start = _clock()
    for _ in _rounds:
{body}
    return _clock() - _start
"""

# A statement shorter than this is written several times into its loop: the loop itself takes
# some 10 ns, which is as much as a look-up in a dict.
_SHORT = 2e-6
_COPIES_OF_SHORT = 16


class NotHereError(Exception):
    """What a row needs (an optional package, say) is not on this machine."""


@dataclass(frozen=True)
class Effort:
    """How long a row is measured.

    Attributes
    ----------
    sample
        Seconds that a sample of a repeatable statement takes. Short enough to fit between two
        interruptions by other programs, long enough for the clock.
    least
        Number of samples that each side gets in any case.
    steady
        Stop when the best of both sides has not improved by half a per cent for so many seconds.
    seconds
        Stop when so many seconds have gone.
    """

    sample: float
    least: int
    steady: float
    seconds: float


FULL = Effort(sample=2e-3, least=30, steady=2.0, seconds=20.0)
QUICK = Effort(sample=2e-3, least=5, steady=0.1, seconds=1.0)


class Loop:
    """One side of a row: a statement in a loop.

    Parameters
    ----------
    statement
        Any statements, as a user would write them.
    names
        What they use.
    copies
        How many times they are written into the loop.
    """

    def __init__(self, statement: str, names: Names, copies: int = 1) -> None:
        self._copies = copies
        self._names = names
        body = textwrap.indent("\n".join([textwrap.dedent(statement).strip()] * copies), 8 * " ")
        # A separate code object for each loop: what the interpreter learns about one side does
        # not spoil the other.
        scope: dict[str, Any] = {}
        source = _LOOP.format(names=", ".join(names), body=body)
        exec(compile(source, f"<{statement.strip()}>", "exec"), scope)
        self._loop: Callable[..., float] = scope["loop"]

    def sample(self, rounds: int) -> float:
        """Measure the seconds of one execution, on average over ``rounds * copies``."""
        taken = self._loop(itertools.repeat(None, rounds), time.perf_counter, **self._names)
        return taken / (rounds * self._copies)

    def about(self) -> float:
        """Estimate what `sample` will give; this also lets the interpreter warm up."""
        return self.sample(self.rounds_for(1e-4))

    def rounds_for(self, seconds: float) -> int:
        """Find how many rounds take about so many seconds."""
        rounds = 1
        while (taken := self.sample(rounds) * rounds * self._copies) < seconds / 4:
            rounds *= 4
        return max(1, round(rounds * seconds / taken))


@dataclass(frozen=True)
class Row:
    """One promise.

    Attributes
    ----------
    name
        What is done.
    anchor, ours
        The two statements. They use the names that `setup` gives.
    target
        Ours may take so many times longer than the anchor.
    setup
        Makes what the statements work on, checks that both do the same, gives the names, and
        clears up afterwards.
    before
        A statement that is run, not timed, before each single execution of either side: for what
        cannot be repeated as it stands, as making a *new* file.
    unit
        Of the samples: "seconds" or "bytes".
    """

    name: str
    anchor: str
    ours: str
    target: float
    setup: Callable[[], AbstractContextManager[Names]]
    before: str = ""
    unit: str = "seconds"

    def measure(self, effort: Effort) -> Timing:
        """Time both sides in turns."""
        with self.setup() as names:
            return self._in_turns(names, effort)

    def _in_turns(self, names: Names, effort: Effort) -> Timing:
        anchor, ours = Loop(self.anchor, names), Loop(self.ours, names)
        prepare = Loop(self.before or "pass", names)
        rounds_of_anchor = rounds_of_ours = 1
        if not self.before:
            if min(anchor.about(), ours.about()) < _SHORT:
                anchor = Loop(self.anchor, names, _COPIES_OF_SHORT)
                ours = Loop(self.ours, names, _COPIES_OF_SHORT)
            rounds_of_anchor = anchor.rounds_for(effort.sample)
            rounds_of_ours = ours.rounds_for(effort.sample)
        timing = Timing()
        clock = time.perf_counter
        begin = improved = clock()
        while len(timing.anchor) < effort.least or (
            clock() < min(improved + effort.steady, begin + effort.seconds)
        ):
            before = timing.best_anchor, timing.best_ours
            prepare.sample(1)
            timing.anchor.append(anchor.sample(rounds_of_anchor))
            prepare.sample(1)
            timing.ours.append(ours.sample(rounds_of_ours))
            if timing.best_anchor < 0.995 * before[0] or timing.best_ours < 0.995 * before[1]:
                improved = clock()
        return timing


@dataclass
class Timing:
    """The samples of a row: seconds per execution, the two sides in turns."""

    anchor: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    @property
    def best_anchor(self) -> float:
        return min(self.anchor, default=math.inf)

    @property
    def best_ours(self) -> float:
        return min(self.ours, default=math.inf)

    @property
    def ratio(self) -> float:
        """Our best over the anchor's best: what is held against the target."""
        return self.best_ours / self.best_anchor

    @property
    def median_ratio(self) -> float:
        """Of neighbours in time; far from `ratio` when the machine was busy."""
        return statistics.median(
            ours / anchor for anchor, ours in zip(self.anchor, self.ours, strict=True)
        )


class Subject:
    """The rows of one module.

    Parameters
    ----------
    title
        Heading over the rows.

    Examples
    --------
    >>> subject = Subject("Sums")
    >>> @subject.row("adding", anchor="a + b", ours="sum((a, b))", target=5)
    ... def adding():
    ...     yield {"a": 1, "b": 2}
    >>> [row.name for row in subject.rows]
    ['adding']
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.rows: list[Row] = []

    def row(
        self, name: str, *, anchor: str, ours: str, target: float, before: str = ""
    ) -> Callable[[Callable[[], Iterator[Names]]], Callable[[], Iterator[Names]]]:
        """Declare a row around the generator that sets it up; see `Row`."""

        def declare(setup: Callable[[], Iterator[Names]]) -> Callable[[], Iterator[Names]]:
            self.rows.append(Row(name, anchor, ours, target, contextmanager(setup), before))
            return setup

        return declare


class Outcome(NamedTuple):
    """A row, and its samples, or the reason that there are none."""

    subject: Subject
    row: Row
    timing: Timing | None
    trouble: str = ""

    @property
    def met(self) -> bool:
        return self.timing is not None and self.timing.ratio <= self.row.target

    @property
    def certain(self) -> bool:
        """Whether the median of the ratios gives the same verdict as the best times."""
        return self.timing is None or self.met == (self.timing.median_ratio <= self.row.target)
