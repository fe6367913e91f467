"""From a brief to a finished story: the writers, and the gate that every story passes."""

from fixionmail.stories.generate import generate
from fixionmail.stories.providers import writer_for
from fixionmail.stories.writer import Writer

__all__ = ["Writer", "generate", "writer_for"]
