import json
from pathlib import Path

import pytest
import torch

from xmpress.errors import ModelError
from xmpress.training.masking import IGNORED, Masking


def test_tokens_are_hidden_as_often_as_bert_does() -> None:
    masking = Masking(mask_id=4, special=(0, 2, 3, 4), vocab_size=1000)
    ids = torch.randint(5, 1000, (200, 100), generator=torch.Generator().manual_seed(0))
    ids[:, 0], ids[:, -1] = 2, 0
    hidden, targets = masking(ids, torch.Generator().manual_seed(1))
    asked = targets != IGNORED
    assert (targets[asked] == ids[asked]).all()
    assert (hidden[~asked] == ids[~asked]).all()
    assert not asked[:, 0].any() and not asked[:, -1].any()
    assert abs(asked[:, 1:-1].float().mean() - 0.15) < 0.01
    assert abs((hidden[asked] == 4).float().mean() - 0.8) < 0.02
    assert abs((hidden[asked] == ids[asked]).float().mean() - 0.1) < 0.02
    again = masking(ids, torch.Generator().manual_seed(1))
    assert torch.equal(again[0], hidden) and torch.equal(again[1], targets)


def test_ids_come_from_the_tokenizer(tiny_tokenizer_file: Path, tmp_path: Path) -> None:
    masking = Masking.from_file(tiny_tokenizer_file)
    assert (masking.mask_id, masking.special) == (4, (0, 1, 2, 3, 4))
    content = json.loads(tiny_tokenizer_file.read_text())
    assert masking.vocab_size == len(content["model"]["vocab"])
    content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] != "[MASK]"]
    without = tmp_path / "tokenizer.json"
    without.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="no mask token"):
        Masking.from_file(without)
