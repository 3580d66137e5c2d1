"""What deploy/ holds is what Ray, the server and Prometheus understand, as far as can be seen."""

import json
import re
from pathlib import Path

import pytest
import yaml

from sam3i_agent.tools.serving.settings import ServeSettings

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
# Ray's own, when it is imported.
pytestmark = pytest.mark.filterwarnings("default")


def _config_of(name: str):
    content = yaml.safe_load((DEPLOY / name).read_text())
    return content if name == "serve.yaml" else yaml.safe_load(content["spec"]["serveConfigV2"])


@pytest.mark.parametrize("name", ["serve.yaml", "rayservice.yaml"])
def test_the_applications_are_ones_that_ray_serve_takes(name: str):
    schema = pytest.importorskip("ray.serve.schema", reason="needs the extra serve")
    config = schema.ServeDeploySchema.model_validate(_config_of(name))
    (application,) = config.applications
    module, _, function = application.import_path.partition(":")
    assert module == "sam3i_agent.tools.serving.cluster.front_end" and function == "build"
    settings = ServeSettings.model_validate(application.args)
    assert settings.front_ends == 3 and settings.limits.calls_per_minute == 60
    assert settings.auth_audience and settings.store.startswith("s3://")


def test_the_dashboard_shows_metrics_that_there_are():
    from sam3i_agent.core.model_choice import ModelChoice
    from sam3i_agent.tools.service import SegmentationService
    from sam3i_agent.tools.serving import prometheus

    known = prometheus.Metrics(SegmentationService(ModelChoice())).text().decode()
    known += (Path(prometheus.__file__)).read_text()
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    shown = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"\bsam3i_\w+", target["expr"])
    }
    assert len(panels) == 8 and len(shown) >= 6
    for name in shown:
        assert re.sub(r"_(total|bucket)$", "", name) in known, name
