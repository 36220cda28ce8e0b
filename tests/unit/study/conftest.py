"""Results of studies that were never run."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from xmpress.study.results import StudyResults


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The makers of such results, see ``synthetic.py``."""
    name = "study_synthetic"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("synthetic.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def whole(synthetic: ModuleType) -> StudyResults:
    """The paper's matrix, on made-up numbers; vary it with ``model_copy(update=...)``."""
    results: StudyResults = synthetic.results()
    return results
