"""Put on a process's path, this makes it one of an older FixionMail, as far as it says of itself."""

import os

import fixionmail

fixionmail.__version__ = os.environ["VERSION_OF_FIXIONMAIL"]
