"""Logs: one structured line an event, on stderr, the same for our code and for every library.

Bind what is known once (`bind(domain=..., phase=...)`); every later line in that task carries it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

# What Temporal's SDK attaches to its log records, and which of its fields are worth a column.
_TEMPORAL_EXTRAS = ("temporal_activity", "temporal_workflow")
_TEMPORAL_FIELDS = ("workflow_id", "workflow_type", "activity_type", "attempt", "task_queue")


def configure(
    log_format: Literal["json", "console"] = "json", log_level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Send our events and all standard logging to `stream` (stderr). May be called again."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger. Events are past-tense words from the glossary, facts are keyword arguments."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def bind(**facts: object) -> AbstractContextManager[None]:
    """Within the `with`, every line this task logs carries `facts` (domain, phase, attempt ...)."""
    return structlog.contextvars.bound_contextvars(**facts)


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
    ]


def _formatter(log_format: str) -> logging.Formatter:
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        if log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_common(), _lift_temporal],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
    )


def _lift_temporal(_logger: Any, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    for extra in _TEMPORAL_EXTRAS:
        facts = getattr(record, extra, None)
        if isinstance(facts, Mapping):
            for field in _TEMPORAL_FIELDS:
                if field in facts:
                    event.setdefault(field, facts[field])
    return event
