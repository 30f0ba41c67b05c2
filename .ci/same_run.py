"""Compares the default run's tracked files with the committed ones: equal, or another processor's last digits.

On the kind of processor that made the committed run every tracked file is equal to the byte. Another one may round sums
differently, which training amplifies: then dvc.lock and numbers below metrics/ may change, and nothing else.
"""

import json
import subprocess
import sys

LARGEST_POINTS = 15.0


def git(*arguments: str) -> str:
    """Returns what a Git command prints."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def main() -> int:
    """Says how the run differs; 1 where it should not."""
    changed = [line[3:] for line in git("status", "--porcelain").splitlines()]
    if not changed:
        print("the default run leaves Git clean")
        return 0
    strange = [name for name in changed if name != "dvc.lock" and not name.startswith("metrics/")]
    if strange:
        print(f"the default run changed tracked files: {', '.join(strange)}", file=sys.stderr)
        return 1
    largest = 0.0
    for name in changed:
        if not name.startswith("metrics/"):
            continue
        with open(name, encoding="utf-8") as file:
            now = json.load(file)
        before = json.loads(git("show", f"HEAD:{name}"))
        if now.keys() != before.keys():
            print(f"{name} holds {sorted(now)}, committed are {sorted(before)}", file=sys.stderr)
            return 1
        largest = max([largest, *(abs(now[key] - before[key]) for key in now)])
    print(f"another processor than the committed run's: metrics differ by up to {largest:.2f} points")
    return int(largest > LARGEST_POINTS)


if __name__ == "__main__":
    raise SystemExit(main())
