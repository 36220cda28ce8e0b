"""How hard the bundled sample is: majority, keyword lists, and TF-IDF on its test split.

    python studies/sample/baselines.py > results/sample.md

A keyword list holds, per language and label, the ten words (character pairs in zh, ja and th) whose
presence says most about the label in the train split (chi-squared); a text gets the label with most
of its keywords, and the most frequent label if it has none.
"""

from __future__ import annotations

import sys

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import chi2

from xmpress.data import Dataset, load_dataset
from xmpress.evaluation import score
from xmpress.tasks import TaskSet
from xmpress.training.baselines import fit_baseline

KEYWORDS = 10
UNSPACED = ("ja", "th", "zh")


def keyword_logits(train: Dataset, test: Dataset) -> dict[str, np.ndarray]:
    logits = {task.name: np.zeros((len(test), len(task)), np.float32) for task in test.tasks}
    for lang in sorted(set(test.langs)):
        here = np.flatnonzero([found == lang for found in test.langs])
        known, asked = train.where(langs=[lang]), test.where(langs=[lang])
        spaced = lang not in UNSPACED
        words = CountVectorizer(
            analyzer="word" if spaced else "char",
            ngram_range=(1, 1) if spaced else (2, 2),
            binary=True,
            min_df=3,
        )
        seen, new = words.fit_transform(known.texts), words.transform(asked.texts)
        for task in test.tasks:
            targets = known.labels[task.name].targets
            for j in range(len(task)):
                with_label = targets[:, j]
                says, _ = chi2(seen, with_label)
                more = seen[with_label].mean(axis=0) > seen[~with_label].mean(axis=0)
                says = np.where(np.asarray(more).ravel(), says, 0.0)
                best = np.argsort(-says)[:KEYWORDS]
                hits = np.asarray(new[:, best].sum(axis=1)).ravel()
                # Multi-label: one keyword is enough. Otherwise the majority breaks ties.
                logits[task.name][here, j] = hits - 0.5 if task.multi else hits + with_label.mean()
    return logits


def main() -> None:
    dataset = load_dataset("sample", TaskSet.load("experience"))
    train, test = dataset.where(split="train"), dataset.where(split="test")
    cards = {"keyword lists": score("keywords", keyword_logits(train, test), test, {})}
    for kind, name in {"majority": "majority", "tfidf": "TF-IDF + logistic regression"}.items():
        fitted = fit_baseline(kind, dataset)
        logits = fitted.logits(test.texts, test.contexts)
        cards[name] = score(name, logits, test, fitted.calibration)
    names = ["majority", "keyword lists", "TF-IDF + logistic regression"]
    lines = [
        "# How hard the bundled sample is",
        "",
        f"Test split ({len(test):,} texts, 12 languages), macro-F1 x 100, mean over languages.",
        "Made by `python studies/sample/baselines.py > results/sample.md`, data fingerprint",
        f"`{dataset.fingerprint[:16]}`, seed 0.",
        "",
        "| task | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
        *(
            f"| {task} | " + " | ".join(f"{100 * cards[n].task(task):.1f}" for n in names) + " |"
            for task in dataset.tasks.names
        ),
        "",
        "By language, mean over tasks:",
        "",
        "| language | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
        *(
            f"| {lang} | "
            + " | ".join(f"{100 * cards[n].language(lang):.1f}" for n in names)
            + " |"
            for lang in sorted(set(test.langs))
        ),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
