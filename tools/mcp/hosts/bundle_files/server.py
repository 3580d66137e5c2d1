"""Starts the server as the settings of its host say: python server.py FOLDER..."""

import os
import runpy
import sys

FLAGS = {
    "SAM3I_MODEL": "--model",
    "SAM3I_MLLM_URL": "--mllm-url",
    "SAM3I_MLLM_MODEL": "--mllm-model",
}
"""By environment variable: what hosts leave empty is left out."""

if __name__ == "__main__":
    roots = [part for folder in sys.argv[1:] for part in ("--root", folder)]
    chosen = [
        part
        for name, flag in FLAGS.items()
        if (value := os.environ.get(name))
        for part in (flag, value)
    ]
    sys.argv = ["sam3i", "serve", *roots, *chosen]
    runpy.run_module("sam3i_agent.cli", run_name="__main__")
