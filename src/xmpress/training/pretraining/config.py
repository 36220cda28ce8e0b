"""What a pretraining is told: one YAML file, every key with its meaning and default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xmpress.data import Columns
from xmpress.data.config import TextList
from xmpress.errors import ConfigError
from xmpress.settings import merge, override, read_yaml
from xmpress.training.loop import FitSettings
from xmpress.validation import problems_of

CONFIGURATIONS = (".yaml", ".yml", ".json")


class PretrainFit(FitSettings):
    """How long and how to optimise."""

    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """Peak; reached after the warm-up, then linear to 0. About 1e-4 with ``init``."""
    temperature: Annotated[float, Field(ge=1)] = 2.0
    """Sampling over languages: 1 as in the corpus, larger is more even."""


class PretrainConfig(BaseModel):
    """Everything `pretrain` needs; read one with `PretrainConfig.load`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus: Annotated[TextList, Field(min_length=1)]
    """What to read, one or several: a file, a folder, a data config (.yaml), ``sample``,
    hf:owner/name, or plain text (.txt, one text per line). Labels are ignored, validation and test
    rows left out."""
    columns: Columns | None = None
    """Names of the columns, for plain files."""
    parallel: str | None = None
    """Translations: a file with the columns ``lang_a``, ``text_a``, ``lang_b``, ``text_b``. A pair
    is shown as one input, so that one language helps to read the other (TLM)."""
    parallel_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of the tokens shown that are pairs of translations."""
    encoder: str | dict[str, Any] | None = None
    """A configuration, or its file, for random weights (``{model_type: bert, ...}``); or give
    ``init``."""
    init: str | None = None
    """Start from a pretrained encoder instead: hub name, directory, or zoo name. With another
    tokenizer its layers are kept and its token embedding is transferred."""
    glosses: TextList = []
    """With ``init`` and another tokenizer: what pieces mean in a language the encoder knows. Files
    (or folders of .tsv) of lines ``piece<TAB>gloss`` or ``id<TAB>gloss``; `` | `` separates
    senses."""
    tokenizer: str | None = None
    """Directory with ``tokenizer.json``; if absent, one is learned from the corpus (with ``init``,
    its own is used)."""
    vocab_size: Annotated[int, Field(ge=300)] | None = None
    """Size of a tokenizer that is learned, 32,000 if not given; with ``init``, giving it means to
    learn a new one."""
    lowercase: bool = False
    """Whether a tokenizer that is learned folds case."""
    objective: Literal["mlm", "rtd"] = "mlm"
    """``mlm``: predict hidden tokens (BERT). ``rtd``: tell which tokens a small generator replaced
    (ELECTRA); learns from every token."""
    hide: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the tokens that are hidden."""
    generator_width: Annotated[float, Field(gt=0, le=1)] = 0.25
    """rtd: width of the generator relative to the encoder."""
    detection_weight: Annotated[float, Field(gt=0)] = 50.0
    """rtd: weight of the detection beside the generator's loss."""
    sequence_length: Annotated[int, Field(ge=16)] = 128
    """Tokens per row; longer texts are cut into several."""
    pack: bool = True
    """Fill rows with several texts; otherwise one text per row, batches of like length."""
    fit: PretrainFit = PretrainFit()
    """How long and how to optimise."""
    tensorboard: bool = False
    """Write TensorBoard event files beside the encoder."""

    @classmethod
    def load(cls, path: str | Path | None, overrides: Sequence[str] = (), **settings: Any) -> Self:
        """Read a file, put further settings on top, then overrides of the form ``a.b=value``.

        Raises:
            ConfigError: listing everything wrong, by path within the file.
        """
        content: dict[str, Any] = {} if path is None else read_yaml(path, what="pretraining config")
        content = merge(content, {k: v for k, v in settings.items() if v is not None})
        for text in overrides:
            content = override(content, text)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            where = "the pretraining settings" if path is None else f"pretraining config {path}"
            raise ConfigError(f"{where} cannot be used", problems_of(error, cls)) from error

    @field_validator("encoder")
    @classmethod
    def _is_a_configuration(cls, value: Any) -> Any:
        if isinstance(value, str) and Path(value).suffix.lower() not in CONFIGURATIONS:
            raise ValueError(
                f"{value!r} is no configuration (a mapping, or a .yaml or .json file of one); "
                "to start from pretrained weights, give them as init"
            )
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.encoder is None) == (self.init is None):
            raise ValueError("give one of encoder (random weights) and init (pretrained ones)")
        if self.glosses and not (self.init and (self.tokenizer or self.vocab_size)):
            raise ValueError("glosses need init and another tokenizer (tokenizer or vocab_size)")
        return self

    @property
    def learns_tokenizer(self) -> bool:
        """Whether a tokenizer is learned from the corpus."""
        return self.tokenizer is None and (self.init is None or self.vocab_size is not None)
