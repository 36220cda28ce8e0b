"""Makes zoo:small, the encoder that users train: three of the aligned encoder's layers, no labels.

    python studies/zoo/small.py runs/zoo/aligned MINILM runs/zoo/pairs.jsonl runs/zoo/small 12

The last number is the time for training in minutes. The embedding becomes a product of rank 224,
least wrong on frequent tokens, and what is left learns the same as the aligned encoder did: to give
a translation the sentence vector of its English original (`align.py`). Matrices are stored in int8
with one scale per row, vectors in half precision; `xmpress.modeling.open_encoder` gives fp32.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from align import align, lessons, read_pairs, save
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModel, PreTrainedModel

from xmpress.compression.factorisation import factorise
from xmpress.compression.quantization.rounding import quantize_rows
from xmpress.data.files import atomic_path
from xmpress.modeling.encoders import INT8_SCALE
from xmpress.modeling.shapes import EMBEDDING_RANK, FactorisedEmbedding

LAYERS = (1, 3, 5)
RANK = 224


def smaller(aligned: Path, counts: np.ndarray) -> PreTrainedModel:
    """Every second layer, under a factorised embedding."""
    model = AutoModel.from_pretrained(aligned, add_pooling_layer=False)
    model.encoder.layer = nn.ModuleList(model.encoder.layer[i] for i in LAYERS)
    model.config.num_hidden_layers = len(LAYERS)
    stock = model.get_input_embeddings()
    found = factorise(stock.weight.detach().numpy(), RANK, weights=1.0 + counts)
    print(f"embedding of rank {RANK}: {found.energy:.1%} of the energy", flush=True)
    factorised = FactorisedEmbedding(
        *found.table.shape, stock.embedding_dim, padding_idx=stock.padding_idx
    )
    factorised.table.weight = nn.Parameter(torch.from_numpy(found.table))
    factorised.projection.weight = nn.Parameter(torch.from_numpy(found.projection.T.copy()))
    model.set_input_embeddings(factorised)
    setattr(model.config, EMBEDDING_RANK, RANK)
    return model


def round_weights(folder: Path) -> None:
    """Store an encoder's matrices in int8, with one scale per row, and all else in 16 bits."""
    path = folder / "model.safetensors"
    stored = {}
    for name, value in load_file(path).items():
        if value.ndim == 2:
            matrix, scales = quantize_rows(value.float().numpy(), 127)
            stored[name] = torch.from_numpy(matrix)
            stored[name + INT8_SCALE] = torch.from_numpy(scales)
        else:
            stored[name] = value.half()
    with atomic_path(path) as target:
        save_file(stored, target, metadata={"format": "pt"})


def main(aligned: Path, minilm: Path, pairs_file: Path, out: Path, minutes: float) -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(str(aligned / "tokenizer.json"))
    learn = lessons(read_pairs(pairs_file), minilm, tokenizer, rng)
    counts = np.bincount(np.concatenate(learn.ids), minlength=tokenizer.get_vocab_size())
    model = smaller(aligned, counts)
    align(model, learn, tokenizer.token_to_id("<pad>"), minutes, rng)
    save(model, aligned, out)
    round_weights(out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]), minutes=float(sys.argv[5]))
