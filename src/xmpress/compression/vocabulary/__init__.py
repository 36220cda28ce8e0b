"""Smaller vocabularies: which pieces stay, the tokenizer's file, the embedding."""

from xmpress.compression.vocabulary.tokenizer_file import TokenizerFile
from xmpress.compression.vocabulary.trim import TrimParams, TrimVocabulary

__all__ = ["TokenizerFile", "TrimParams", "TrimVocabulary"]
