"""How near a factorised embedding comes, with every token the same or weighted by use.

    python studies/vocabulary/factorise.py ENCODER

On an encoder (a directory), without any training afterwards: the mean cosine between the pooled
vectors of the English test texts of the bundled sample before and after. Tokens are counted on its
English training texts.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from xmpress.compression.corpus import by_language, count_tokens, for_training
from xmpress.compression.factorisation import factorise
from xmpress.data import load_dataset
from xmpress.modeling import open_encoder
from xmpress.modeling.shapes import FactorisedEmbedding
from xmpress.runtime.tokenization import Tokenizer
from xmpress.tasks import TaskSet

RANKS = (64, 128, 192, 256)


@torch.inference_mode()
def vectors(encoder: nn.Module, tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    encoded = tokenizer.encode(texts)
    batches = [torch.from_numpy(ids.astype(np.int64))[None] for ids in encoded.ids]
    return torch.cat([encoder(input_ids=ids).last_hidden_state.mean(dim=1) for ids in batches])


def main() -> None:
    data = load_dataset("sample", TaskSet.load("experience")).where(langs=["en"])
    texts = data.where(split="test").texts
    with tempfile.TemporaryDirectory() as folder:
        source = open_encoder(sys.argv[1], workspace=Path(folder) / "tokenizer")
        tokenizer = Tokenizer.from_file(Path(folder) / "tokenizer/tokenizer.json", max_length=128)
    encoder = source.encoder.eval()
    before = vectors(encoder, tokenizer, texts)
    table = encoder.get_input_embeddings().weight.detach()
    counts = count_tokens(tokenizer, by_language(for_training(data), seed=0), len(table))
    print("| rank | weights | energy kept | mean error | largest error | cosine |")
    print("|---|---|---|---|---|---|")
    for rank in RANKS:
        for name, weights in {"uniform": None, "frequency": 1.0 + counts["en"]}.items():
            found = factorise(table.numpy(), rank, weights=weights)
            product = FactorisedEmbedding(len(table), rank, table.shape[1])
            product.table.weight = nn.Parameter(torch.from_numpy(found.table))
            product.projection.weight = nn.Parameter(torch.from_numpy(found.projection.T.copy()))
            changed = copy.deepcopy(encoder)
            changed.set_input_embeddings(product)
            after = vectors(changed, tokenizer, texts)
            cosine = torch.cosine_similarity(before, after).mean()
            numbers = f"{found.mean_error:.4f} | {found.largest_error:.2f} | {cosine:.3f}"
            print(f"| {rank} | {name} | {100 * found.energy:.1f} % | {numbers} |")


if __name__ == "__main__":
    main()
