"""The public conformance suite against this server, in both protocol eras.

A scenario counts where it exercises something that this server offers and finds it there.
"""

import re
from pathlib import Path

import pytest

from tests.interop.npm import needs_npm, run_npm
from tests.tools.servers import http_server

BOTH = {
    "tools-list", "tools-call-simple-text", "tools-call-image", "tools-call-embedded-resource",
    "tools-call-mixed-content", "tools-call-error", "tools-call-with-progress", "resources-list",
    "resources-read-text", "resources-read-binary", "resources-templates-read",
    "server-sse-multiple-streams", "dns-rebinding-protection", "prompts-list",
    "prompts-get-simple", "prompts-get-with-args", "prompts-get-embedded-resource",
    "prompts-get-with-image",
}  # fmt: skip
COUNTED = {
    "2025-11-25": BOTH
    | {
        "server-initialize", "server-session-lifecycle", "ping", "logging-set-level",
        "tools-call-with-logging", "tools-call-sampling", "tools-call-elicitation",
    },
    "2026-07-28": BOTH
    | {
        "server-stateless", "sep-2164-resource-not-found", "caching", "http-header-validation",
        "input-required-result-basic-elicitation", "input-required-result-basic-sampling",
        "input-required-result-request-state", "input-required-result-multi-round",
        "input-required-result-missing-input-response", "input-required-result-result-type",
        "input-required-result-unsupported-methods", "input-required-result-tampered-state",
        "input-required-result-capability-check", "input-required-result-ignore-extra-params",
        "input-required-result-validate-input",
    },
}  # fmt: skip
NOT_COUNTED = {
    "input-required-result-non-tool-request": "asks in a prompt; these prompts ask nothing",
    "completion-complete": "passes with no values, as it asks about a prompt; test_browsing.py "
    "completes the templates that this server has",
    "tools-call-audio": "no audio",
    "json-schema-2020-12": "a fixture tool with a schema written by hand; these tools' schemas are "
    "generated, and validated in test_server.py",
    "elicitation-sep1034-defaults": "the one form of this server has no defaults",
    "elicitation-sep1330-enums": "the one form of this server has a plain list of choices",
    "server-sse-polling": "needs an event store, which a server on one machine has no use for",
    "resources-subscribe": "results do not change, so there is nothing to subscribe to",
    "resources-unsubscribe": "as above",
    "http-custom-header-server-validation": "no tool takes an argument from a header",
    "input-required-result-basic-list-roots": "roots are set by the server's owner, never asked of "
    "the client",
    "input-required-result-multiple-input-requests": "asks for roots too",
}
_LINE = re.compile(r"^([✓✗]) ([\w-]+): (\d+) passed, (\d+) failed$", re.MULTILINE)


@needs_npm
@pytest.mark.parametrize("version", COUNTED)
def test_every_scenario_that_applies_passes(version: str, tmp_path: Path):
    with http_server("tests.interop.fixture_server") as (url, _):
        arguments = ("server", "--url", url, "--spec-version", version, "--suite", "all")
        done = run_npm("conformance", *arguments, "--output-dir", str(tmp_path))
    outcome = {name: (mark, int(passed)) for mark, name, passed, _ in _LINE.findall(done.stdout)}
    assert outcome, done.stdout[-2000:] + done.stderr[-2000:]
    failed = {name for name in COUNTED[version] if outcome.get(name, ("✗", 0))[0] != "✓"}
    assert not failed, done.stdout[-6000:]
    assert outcome.keys() <= COUNTED[version] | NOT_COUNTED.keys()  # each has a reason
