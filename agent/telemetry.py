"""OpenTelemetry spans of a run: `sam3i.run`, `.encode`, `.segment` and `.mllm`.

Without an SDK installed and set up (the extra `otel`, or the program around this package) a span
costs nothing and goes nowhere.
"""

from opentelemetry import trace

tracer = trace.get_tracer("sam3i_agent")
