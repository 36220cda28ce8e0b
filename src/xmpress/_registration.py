"""Tells Hugging Face's auto classes about our models, once somebody uses those classes.

``AutoModel.from_pretrained`` must know our model type after ``import xmpress``, and
``import xmpress`` must not import transformers. So the registration waits for the import of the
module that defines the auto classes, which pulls in `xmpress.modeling`; and right after that one,
whoever imports it, its ``register()`` is called.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType

AUTO_CLASSES = "transformers.models.auto.modeling_auto"
"""The module with ``AutoModel``; it imports the one with ``AutoConfig``."""
MODELING = "xmpress.modeling"


def install() -> None:
    """Register now if the auto classes are imported already, otherwise as soon as they are."""
    if not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())
    if AUTO_CLASSES in sys.modules:
        _import_modeling()


def _import_modeling() -> None:
    # transformers alone, without torch, is of use to others; our models need both.
    # By name: a static import would make everything that imports xmpress depend on torch.
    if find_spec("torch") is not None:
        import_module(MODELING)


class _AfterImport(MetaPathFinder):
    """Finds nothing by itself; sees to it that two modules' loading is followed by our step."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in {AUTO_CLASSES, MODELING}:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _FollowedLoader(spec.loader)
        return spec


class _FollowedLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        if module.__name__ == MODELING:
            module.register()
        else:
            _import_modeling()
