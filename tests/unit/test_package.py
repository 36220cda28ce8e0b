"""What `import xmpress` gives, and what it costs."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import xmpress
from xmpress import errors

ROOT = Path(__file__).parents[2]
TORCH_FREE = (
    "xmpress",
    "xmpress.errors",
    "xmpress.validation",
    "xmpress.settings",
    "xmpress.machine",
    "xmpress.provenance",
    "xmpress.tasks",
    "xmpress.data",
    "xmpress.evaluation",
    "xmpress.runtime",
    "xmpress.runtime.analyzer",
    "xmpress.zoo",
    "xmpress.benchmark",
    "xmpress.serving.server",
    "xmpress.study.report",
    "xmpress.study.compare",
    "xmpress.cli.app",
)
HEAVY = {"torch", "transformers", "accelerate", "sklearn", "onnx", "datasets", "pandas"}


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and return what it writes."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_exported_names() -> None:
    assert xmpress.__all__ == sorted(xmpress.__all__)
    assert set(xmpress.__all__) == {
        "Analysis",
        "Analyzer",
        "BundleError",
        "Calibration",
        "ConfigError",
        "DataError",
        "EngineError",
        "ExportError",
        "GuardError",
        "Labels",
        "MissingExtraError",
        "ModelError",
        "Prediction",
        "Problem",
        "RecipeError",
        "StudyError",
        "Task",
        "TaskError",
        "TaskKind",
        "TaskSet",
        "TrainingError",
        "UsageError",
        "XmpressError",
        "load",
    }
    for name in xmpress.__all__:
        assert getattr(xmpress, name).__doc__, f"{name} has no docstring"
        assert name in dir(xmpress)


def test_every_error_is_exported() -> None:
    tree = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_")
    }
    assert tree <= set(xmpress.__all__)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = xmpress.nonsense


def test_version_is_the_one_of_the_metadata() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert xmpress.__version__ == project["version"]


def test_base_install_is_bounded_below_only() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in (r for group in groups for r in group):
        if not requirement.startswith("xmpress["):
            assert ">=" in requirement
            assert "<" not in requirement
            assert "==" not in requirement


def test_import_is_quick() -> None:
    code = "import time; t = time.perf_counter(); import xmpress; print(time.perf_counter() - t)"
    # The best of a few: other processes may run beside the tests.
    assert min(float(run_python(code)) for _ in range(5)) < 0.1


def test_what_serves_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import importlib, sys"
        f"\nfor name in {TORCH_FREE}:"
        "\n    importlib.import_module(name)"
        f"\n    print(name, *sorted({HEAVY} & set(sys.modules)))"
    )
    assert run_python(code).splitlines() == list(TORCH_FREE)


@pytest.mark.parametrize(
    "code",
    [
        "import xmpress; from transformers import AutoConfig",
        "from transformers import AutoModel, AutoConfig; import xmpress",
    ],
    ids=["before", "after"],
)
def test_auto_classes_know_our_models(code: str) -> None:
    code += (
        "\nfrom transformers import AutoModel"
        "\nconfig = AutoConfig.for_model('xmpress')"
        "\nprint(type(config).__name__, AutoModel._model_mapping[type(config)].__name__)"
    )
    assert run_python(code).split() == ["MultiTaskConfig", "MultiTaskModel"]


def test_transformers_without_torch_stays_usable() -> None:
    """A foreign use of transformers must not fail for lack of what only our models need."""
    code = (
        "import sys, importlib.util as u; real = u.find_spec"
        "\nu.find_spec = lambda name, *rest: None if name == 'torch' else real(name, *rest)"
        "\nimport xmpress"
        "\nfrom transformers import AutoModel"
        "\nprint('xmpress.modeling' in sys.modules)"
    )
    assert run_python(code).strip() == "False"


def test_recipes_are_listed_and_shown_without_the_packages_that_run_them() -> None:
    code = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "safetensors", "onnx", "sklearn"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from xmpress.cli.recipe import list_recipes, show
list_recipes(json=True)
show("smallest")
"""
    said = run_python(code)
    assert '"int8-only"' in said
    assert "rank: 128" in said
