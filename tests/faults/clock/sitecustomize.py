"""Put on a process's path, this sets its wall clock off; its monotonic clock stays as it is."""

import datetime
import os

import time_machine

_HOURS = float(os.environ["CLOCK_IS_OFF_BY_HOURS"])
time_machine.travel(datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=_HOURS), tick=True).start()
