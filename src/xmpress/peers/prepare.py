"""What a peer opens, made of a model directory before anything is measured."""

from __future__ import annotations

import shutil
from pathlib import Path

from xmpress.benchmark.candidates import PEERS
from xmpress.errors import ModelError
from xmpress.peers.stock import write_stock_classifier


def prepare_peer(peer: str, model: Path, workspace: Path) -> Path:
    """Write what a peer opens; what several of them open is written once.

    Args:
        peer: a name of `PEERS` that serves a model directory.
        model: the model directory.
        workspace: a directory for this model; the stock classifier is ``stock`` in it.

    Raises:
        ModelError: if the peer cannot serve such a model.
    """
    stock = workspace / "stock"
    if not stock.is_dir():
        write_stock_classifier(model, stock)
    return _to_ctranslate2(stock, workspace) if PEERS[peer].kind == "ctranslate2" else stock


def _to_ctranslate2(stock: Path, workspace: Path) -> Path:
    import numpy as np
    from ctranslate2.converters import TransformersConverter
    from transformers import AutoConfig, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    out = workspace / "ctranslate2"
    transformers_logging.set_verbosity_error()
    if not out.is_dir():
        try:
            TransformersConverter(str(stock)).convert(str(out), quantization="int8")
        except Exception as error:  # the library raises what its own libraries raise
            raise ModelError(
                f"CTranslate2 cannot convert it: {type(error).__name__}: {error}"
            ) from error
        shutil.copyfile(stock / "tokenizer.json", out / "tokenizer.json")
        config = AutoConfig.from_pretrained(stock)
        # Only their size matters to speed.
        weights = np.zeros((config.hidden_size, config.num_labels), np.float32)
        length = AutoTokenizer.from_pretrained(stock).model_max_length
        np.savez(out / "heads.npz", weights=weights, max_length=length)
    return out
