"""The notice of what is shipped from others travels with it."""

import tomllib
from importlib.resources import files

from tests.docs.pages import ROOT

COPYRIGHT = "Copyright (c) 2021 OpenAI"


def test_clips_notice_lies_beside_its_vocabulary():
    vocabulary = files("sam3i_agent.segmodel").joinpath("vocabulary")
    assert vocabulary.joinpath("clip_bpe_merges.txt.gz").is_file()
    assert COPYRIGHT in vocabulary.joinpath("NOTICE.md").read_text("utf-8")


def test_the_wheel_takes_it_as_a_licence_and_as_data():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (notice,) = settings["project"]["license-files"]
    assert COPYRIGHT in (ROOT / notice).read_text("utf-8")
    assert "vocabulary/*" in settings["tool"]["setuptools"]["package-data"]["sam3i_agent.segmodel"]
