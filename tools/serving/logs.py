"""What a server logs for programs: JSON, with the id of the call in each line."""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum

_OURS = "sam3i_agent"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record has; the rest was given as `extra`."""


class LogFormat(StrEnum):
    """How lines of the log look."""

    TEXT = "text"
    JSON = "json"


class JsonLines(logging.Formatter):
    """One JSON object per record: time (UTC), level, logger, message, ids, and what was given."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        from opentelemetry import trace  # which `--help` has no use for

        from sam3i_agent.agent.telemetry import request_id

        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if (id_ := request_id()) is not None:
            line["request_id"] = id_
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line["trace_id"] = trace.format_trace_id(span.trace_id)
        line |= {name: one for name, one in vars(record).items() if _was_given(name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _was_given(name: str) -> bool:
    """Whether an attribute of a record was given as `extra`; Ray adds some of its own, with `_`."""
    return name not in _STANDARD and not name.startswith("_")


def log_as_json(verbose: bool) -> None:
    """Log to standard error as JSON, a line per call; in a process of Ray that is its log file.

    Args:
        verbose: each step of the agent, too, and what libraries think worth knowing.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger(_OURS).setLevel(logging.DEBUG if verbose else logging.INFO)
