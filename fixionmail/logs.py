"""Logging: readable lines on a terminal, JSON elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up(level: str) -> None:
    """Log to stderr from here on, at ``level`` (debug, info, warning, error) and above."""
    lines: structlog.typing.Processor
    if sys.stderr.isatty():
        lines = structlog.dev.ConsoleRenderer()
    else:
        lines = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            lines,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("apscheduler", "httpx", "psycopg.pool"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
