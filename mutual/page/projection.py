"""A map of the target's features after each round: two numbers an image, near where the features are near."""

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.manifold import TSNE

# chosen on the demo by the share of an image's five nearest on the map that are of its own person (0.83 after direct
# transfer, 0.93 after the last round, of the features themselves 0.80 and 0.92): perplexity 30 and angle 0.5 give the
# same in twice the time, PCA 0.11 and 0.15
PERPLEXITY = 10
ANGLE = 0.8
FIRST = 400  # iterations of the first map
MORE = 250  # of each that starts from the one before
STARTS_AT = 1e-4  # standard deviation, as scikit-learn has it
SCALE = 1000


def maps(states: Sequence[np.ndarray], seed: int) -> Iterator[np.ndarray]:
    """t-SNE (van der Maaten and Hinton, 2008) of the (M, D) features of each state: (M, 2) int64, 0 .. 1000.

    The first starts from the first two principal components, each other one from the map before it and without
    exaggeration, so that what stays together stays in its place and maps can be compared. All are in one scale.
    """
    found: list[np.ndarray] = []
    for features in states:
        found.append(_map(np.array(features), found[-1] if found else None, seed))
    low = np.min([each.min(0) for each in found], axis=0)
    span = max(float((np.max([each.max(0) for each in found], axis=0) - low).max()), 1e-12)
    for each in found:
        yield np.round((each - low) / span * SCALE).astype(np.int64)


def _map(features: np.ndarray, before: np.ndarray | None, seed: int) -> np.ndarray:
    start = _components(features) if before is None else before
    if len(features) < 5:  # too few to have neighbours
        return start
    squared = np.einsum("nd,nd->n", features, features)
    distances = np.sqrt((squared[:, None] + squared - 2 * features @ features.T).clip(min=0))
    np.fill_diagonal(distances, 0)
    projection = TSNE(
        metric="precomputed",
        perplexity=min(PERPLEXITY, (len(features) - 1) / 3),
        init=start.astype(np.float32),
        early_exaggeration=12.0 if before is None else 1.0,
        max_iter=FIRST if before is None else MORE,
        angle=ANGLE,
        random_state=seed,
    )
    return np.asarray(projection.fit_transform(distances))


def _components(features: np.ndarray) -> np.ndarray:
    """The first two principal components (M, 2), as small as t-SNE wants its start to be."""
    centred = features - features.mean(0)
    values, vectors = np.linalg.eigh(centred @ centred.T)  # (M, M): images are fewer than numbers a feature, or few
    places = vectors[:, ::-1][:, :2] * np.sqrt(values[::-1][:2].clip(min=0))
    if places.shape[1] < 2:
        places = np.zeros((len(features), 2))
    signs = np.sign(places[np.abs(places).argmax(0), [0, 1]])  # which is up is chance otherwise
    return places * np.where(signs == 0, 1, signs) / max(float(places[:, 0].std()), 1e-12) * STARTS_AT


def evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of 0 .. count - 1, as even as whole numbers allow, the first and the last among them."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, most)).round()})
