"""Runs a model on texts: tokenise, batch by length, run the engine, decode. No torch."""
