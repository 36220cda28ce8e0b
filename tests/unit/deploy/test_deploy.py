"""The files of deploy/ fit the code; their own tools check them where they are installed."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
CHART = DEPLOY / "helm" / "xmpress"
OPTIONS = {"XMPRESS_BUNDLE_FOLDER", "XMPRESS_KEY_FILE"}
"""Variables of the Compose file alone."""


def tool(name: str) -> str:
    """A program, installed beside this Python or on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def files(*patterns: str) -> list[Path]:
    return [path for pattern in patterns for path in sorted(DEPLOY.rglob(pattern))]


def test_settings_are_those_of_the_server():
    from xmpress.cli.app import app

    command = typer.main.get_command(app)
    known = set()
    for name in ("serve", "analyze"):
        for parameter in command.commands[name].params:  # type: ignore[attr-defined]
            known.update([parameter.envvar] if isinstance(parameter.envvar, str) else [])
    used = {
        (path.name, name)
        for path in files("Dockerfile*", "*.yaml", "*.py", "*.tpl")
        for name in re.findall(r"XMPRESS_[A-Z_]+[A-Z]", path.read_text(encoding="utf-8"))
    }
    assert used
    assert {(file, name) for file, name in used if name not in known | OPTIONS} == set()


def test_addresses_are_those_of_the_server():
    from xmpress.serving.endpoints import ENDPOINTS

    known = {endpoint.path for endpoint in ENDPOINTS}
    used = {
        path
        for file in files("Dockerfile*", "*.yaml", "*.py")
        for path in re.findall(r"/v[12]/(?:health/)?[a-z]+\b", file.read_text(encoding="utf-8"))
    }
    assert {"/v2/health/live", "/v2/health/ready", "/v1/analyze"} <= used
    assert {path for path in used - known if path != "/v2/models"} == set()


def test_metrics_are_those_of_the_server():
    from xmpress.serving.metrics import Metrics

    families = list(Metrics().registry.collect())
    known = {sample for family in families for sample in _samples(family.name, family.type)}
    labels = {"xmpress_queue_texts": {"model"}}
    text = (DEPLOY / "grafana" / "xmpress.json").read_text(encoding="utf-8")
    text += "".join(path.read_text(encoding="utf-8") for path in files("adapter.yaml", "hpa.yaml"))
    used = set(re.findall(r"\b(?:xmpress|process)_[a-z_]+\b", text)) - {"xmpress_model_info"}
    assert labels.keys() <= used
    assert used - known == set()


def _samples(name: str, kind: str) -> set[str]:
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {name + ending for ending in endings.get(kind, ("",))}


def test_the_dashboard_is_whole():
    board = json.loads((DEPLOY / "grafana" / "xmpress.json").read_text(encoding="utf-8"))
    variables = {variable["name"] for variable in board["templating"]["list"]}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", []):
            used = set(re.findall(r"\$([a-z]+)", target["expr"]))
            assert used <= variables
            assert target["expr"].count("(") == target["expr"].count(")")


@pytest.mark.parametrize("path", files("Dockerfile*"), ids=lambda path: path.name)
def test_images(path):
    text = path.read_text(encoding="utf-8")
    last = text.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001$", last, re.M)
    assert "HEALTHCHECK" in last
    assert 'ENTRYPOINT ["xmpress"]' in last
    assert "--no-index" in last  # nothing is fetched but in the first stage
    cuda = path.suffix == ".cuda"
    assert ("train]" in text) is cuda
    # What the build needs is let into its context.
    let_in = set(re.findall(r"^!(\S+)$", (DEPLOY.parent / ".dockerignore").read_text(), re.M))
    copied = {n for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.M) for n in line.split()}
    assert copied <= let_in
    assert all((DEPLOY.parent / name).exists() for name in copied)
    # What the wheel takes in from outside the package must be there, or it cannot be built.
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["force-include"]) <= copied


@pytest.mark.parametrize("path", files("Dockerfile*"), ids=lambda path: path.name)
def test_hadolint(path):
    done = subprocess.run([tool("hadolint"), path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "path",
    [p for p in files("*.yaml") if "templates" not in p.parts],
    ids=lambda path: str(path.relative_to(DEPLOY)),
)
def test_yaml(path):
    assert all(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def test_compose():
    content = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    server = content["services"]["xmpress"]
    assert server["read_only"]
    assert server["cap_drop"] == ["ALL"]
    for service in content["services"].values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        for volume in service["volumes"]:
            source = volume.split(":")[0] if isinstance(volume, str) else "${"
            if source.startswith("./"):
                assert (DEPLOY / source).exists()


def test_compose_reads_it():
    environment = {**os.environ, "XMPRESS_BUNDLES": "/bundles/student"}
    done = subprocess.run(
        [tool("docker-compose"), "-f", DEPLOY / "compose.yaml", "config", "--quiet"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr


VALUES = {
    "default": {},
    "all": {
        "apiKeys": {"keys": ["k" * 32, "j" * 32]},
        "bundles": ["student=/bundles/student@2", "teacher=/bundles/teacher"],
        "bundleVolume": {"persistentVolumeClaim": {"claimName": "bundles", "readOnly": True}},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "podAnnotations": {"a": "b"},
        "tolerations": [{"key": "x", "operator": "Exists"}],
        "nodeSelector": {"a": "b"},
        "imagePullSecrets": [{"name": "x"}],
    },
    "little": {
        "autoscaling": {"enabled": False},
        "disruptionBudget": {"maxUnavailable": 0},
        "spread": False,
        "apiKeys": {"existingSecret": "mine"},
    },
}
KINDS = {
    "default": {"Deployment", "Service", "ServiceAccount", "HorizontalPodAutoscaler"}
    | {"PodDisruptionBudget"},
    "all": {"Deployment", "Service", "ServiceAccount", "HorizontalPodAutoscaler"}
    | {"PodDisruptionBudget", "Secret", "ServiceMonitor"},
    "little": {"Deployment", "Service", "ServiceAccount"},
}


@pytest.fixture
def charts():
    """Helm's own engine."""
    return pytest.importorskip("helm_python.chart")


@pytest.mark.parametrize("name", VALUES)
def test_helm(charts, name):
    rendered = charts.Chart.load(CHART).render(VALUES[name], name="xmpress")
    found = {
        document["kind"]: document
        for file, text in rendered.items()
        if file.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    }
    assert set(found) == KINDS[name]
    pod = found["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert environment["XMPRESS_BUNDLES"] == " ".join(VALUES[name].get("bundles", ["default"]))
    assert ("XMPRESS_API_KEY_FILE" in environment) is ("apiKeys" in VALUES[name])
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["terminationGracePeriodSeconds"] > int(environment["XMPRESS_TIMEOUT"])
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    selector = found["Deployment"]["spec"]["selector"]["matchLabels"]
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"] == selector
    assert selector.items() <= labels.items()
    if importlib.util.find_spec("kubernetes_validate"):
        import kubernetes_validate

        for document in found.values():
            if document["kind"] != "ServiceMonitor":  # a resource of an operator
                kubernetes_validate.validate(document, "1.33", strict=True)


def test_helm_lint(charts):
    assert charts.lint(CHART)["errors"] == []


@pytest.mark.parametrize(
    "values", [{"replicas": "two"}, {"nonsense": 1}, {"apiKeys": {"keys": ["short"]}}], ids=str
)
def test_helm_refuses_wrong_values(charts, values):
    with pytest.raises(Exception, match="- at '"):
        charts.Chart.load(CHART).validate_schema(values)


def test_ray_serve_config_names_the_application():
    config = yaml.safe_load((DEPLOY / "ray" / "serve_config.yaml").read_text(encoding="utf-8"))
    module, _, function = config["applications"][0]["import_path"].partition(":")
    assert f"\ndef {function}(args" in (DEPLOY / "ray" / f"{module}.py").read_text(encoding="utf-8")
