"""The commands of ``fixionmail``, one file per group: the topmost layer, and the only one that knows typer.

A command imports what it needs inside its body, so that ``fixionmail --help`` is there at once.
"""
