"""What deploy/ holds is what Ray, the server and Prometheus understand, as far as can be seen."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sam3i_agent.core.errors import InputError, ModelError
from sam3i_agent.core.model_choice import ModelChoice
from sam3i_agent.segmodel.sharing.ray_cluster import start_ray
from sam3i_agent.tools.serving.cluster.service import JoinedService
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


def test_serve_build_writes_a_configuration_with_both_deployments(tmp_path: Path):
    schema = pytest.importorskip("ray.serve.schema", reason="needs the extra serve")
    (tmp_path / "service.py").write_text(
        "from sam3i_agent.tools.serving.cluster.front_end import build\n"
        "from sam3i_agent.tools.serving.settings import ServeSettings\n"
        "app = build(ServeSettings(replicas=1, max_replicas=3, front_ends=2))\n"
    )
    out = tmp_path / "built.yaml"
    command = [Path(sys.executable).parent / "serve", "build", "service:app", "-o", out]
    if not command[0].exists():  # a checkout that borrows another's libraries
        command[:1] = [sys.executable, "-m", "ray.serve.scripts"]
    done = subprocess.run([*command, "-d", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    config = schema.ServeDeploySchema.model_validate(yaml.safe_load(out.read_text()))
    model, front = config.applications[0].deployments
    assert model.autoscaling_config["max_replicas"] == 3 and front.num_replicas == 2
    assert model.max_surge_percent == front.max_surge_percent == 1


def test_fewer_replicas_under_load_than_without_are_refused():
    with pytest.raises(InputError, match="--max-replicas 1 is less than --replicas 2"):
        ServeSettings(replicas=2, max_replicas=1)


def test_no_cluster_is_joined_but_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch):
    ray = pytest.importorskip("ray", reason="needs the extra serve")
    asked: list[str] = []
    monkeypatch.setattr(ray, "init", lambda address, **_: asked.append(address))
    for name in ("", "ray-head:6379"):
        monkeypatch.setenv("RAY_ADDRESS", name)
        start_ray()
    assert asked == ["local", "ray-head:6379"]


def test_a_cluster_that_lets_nobody_in_is_said_with_what_it_may_want(
    monkeypatch: pytest.MonkeyPatch,
):
    ray = pytest.importorskip("ray", reason="needs the extra serve")

    def refuse(address: str, **_: object) -> None:
        raise ConnectionError(f"Failed to connect to Ray cluster at {address}")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setenv("RAY_ADDRESS", "ray-head:6379")
    with pytest.raises(ModelError, match=r"ray-head:6379 cannot be joined.*RAY_AUTH_MODE=token"):
        JoinedService(ModelChoice("tiny")).segmenter()


def test_the_dashboard_shows_metrics_that_there_are():
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
