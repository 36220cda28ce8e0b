"""Tells Hugging Face's auto classes about our models, once somebody uses those classes.

``AutoModel.from_pretrained`` must know our model type after ``import xmpress``, and
``import xmpress`` must not import transformers. So `xmpress.modeling`, whose import registers the
models, is imported right after the module that defines the auto classes, whoever imports that.
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


def install() -> None:
    """Register now if the auto classes are imported already, otherwise as soon as they are."""
    if AUTO_CLASSES in sys.modules:
        _register()
    elif not any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterImport())


def _register() -> None:
    # transformers alone, without torch, is of use to others; our models need both.
    # By name: a static import would make everything that imports xmpress depend on torch.
    if find_spec("torch") is not None:
        import_module("xmpress.modeling")


class _AfterImport(MetaPathFinder):
    """Finds nothing by itself; sees to it that the real loader's work is followed by ours."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != AUTO_CLASSES:
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
        _register()
