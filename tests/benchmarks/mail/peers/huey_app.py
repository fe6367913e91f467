"""huey on Redis."""

from __future__ import annotations

import os
import subprocess
import sys

from huey import RedisHuey

from tests.benchmarks.mail import work

huey = RedisHuey("bench", url=os.environ["REDIS_URL"])
send_one = huey.task()(work.send_one)

if __name__ == "__main__":
    # A task is known by its module's name, so it is filled from the module and not from the command.
    code = f"from {__spec__.name} import send_one\nfor n in range({int(sys.argv[2])}): send_one(n)"
    subprocess.run([sys.executable, "-c", code], check=True)
