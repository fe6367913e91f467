"""What is known against the pinned versions: ``python -m tests.vulnerabilities`` asks pip-audit, which asks pypi.org.

Exit codes: 0 nothing is known, 1 something is, 4 nobody could be asked.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PINNED = Path(__file__).parents[1] / "constraints.txt"
UNREACHABLE = 4
MOST_WORDS = 200


def audit(command: Sequence[str | Path]) -> int:
    """Run pip-audit and pass on what it says; in a sentence, where it broke down instead of answering."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Traceback" not in done.stderr:
        sys.stdout.write(done.stdout + done.stderr)
        return done.returncode
    reason = done.stderr.strip().splitlines()[-1]
    sys.stderr.write(
        "pip-audit could not ask its database, so nothing is known about the pinned versions: "
        f"{reason[:MOST_WORDS]}\n"
    )
    return UNREACHABLE


if __name__ == "__main__":
    program = Path(sys.executable).with_name("pip-audit")
    options = ("--requirement", PINNED, "--no-deps", "--disable-pip", "--progress-spinner", "off")
    sys.exit(audit((program, *options)))
