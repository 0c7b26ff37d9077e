"""Print the last line of several runs of pytest, and one line of that form for all together.

python3 tools/closing_lines.py LOG...
"""

import re
import sys
from collections import Counter
from pathlib import Path

COUNT = re.compile(r"(\d+) (failed|error|passed|skipped|xfailed|xpassed|deselected|warning)")
SECONDS = re.compile(r" in ([\d.]+)s")


def closing_line(log):
    """Return pytest's last line in a log, or an empty text."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((one for one in reversed(lines) if COUNT.search(one) and SECONDS.search(one)), "")


def main():
    """Print the lines; end with an error where a log has none."""
    closing = [closing_line(Path(name)) for name in sys.argv[1:]]
    total, seconds = Counter(), 0.0
    for line in closing:
        print(line or "a run of tests that did not come to its end")
        found = SECONDS.search(line)
        seconds += float(found[1]) if found else 0.0
        for number, what in COUNT.findall(line):
            total[what] += int(number)
    print("all together:")
    counts = ", ".join(f"{number} {what}" for what, number in total.items())
    print(f" {counts} in {seconds:.2f}s ".center(79, "="))
    if not all(closing):
        sys.exit(1)


if __name__ == "__main__":
    main()
