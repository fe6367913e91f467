"""Logging: readable lines on a terminal, JSON elsewhere; libraries' own lines look the same as ours."""

from __future__ import annotations

import logging
import sys

import structlog

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]
_CHATTY = ("anthropic", "apscheduler", "httpx", "httpx2", "openai", "psycopg.pool", "rq.worker")


def set_up(level: str) -> None:
    """Log to stderr from here on, at ``level`` (debug, info, warning, error) and above."""
    lines: structlog.typing.Processor
    if sys.stderr.isatty():
        lines = structlog.dev.ConsoleRenderer()
    else:
        lines = structlog.processors.JSONRenderer(ensure_ascii=False)
    structlog.configure(
        processors=[*_SHARED, lines],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, lines],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
