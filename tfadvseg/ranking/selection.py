"""Which images to label first: how much each teaches, and that no two teach the same.

The benefit of an image is how much is not known of it, relative to the average of all. With the
amounts a and the sizes n of its ingredients and foreground classes (`measures`), and m_gf the mean
size over all slices:

    u_gf    = a_gf / (n_gf + m_gf)
    u_g     = mean over foreground classes f of  u_gf
    benefit = mean over ingredients g of  u_g / (mean over images of u_g)

A small vessel counts as much as a large one, as amounts are relative to the size of the class. m is
one average slice of which all is known: it keeps a few doubtful pixels where a class is absent from
counting as much as a lost organ. 1 is the average benefit.

Images are chosen one by one:

    next      = argmax over i of  gain_i / (1 + taken_i)
    gain_i    = (sum over j other than i of  benefit_j max(0, novelty_j - d_ij)
                 + benefit_i novelty_i / 2)  /  unknown
    unknown   = sum over images j of  benefit_j novelty_j, before the first is chosen
    novelty_j = min(1, distance to the nearest image that is labelled or chosen)
    taken_i   = number of images of the same patient that are labelled or chosen

A label teaches about all images that are like its own: gain is the share of all that is not known
which gets a label nearer, and how much nearer. It is weighted facility location (Wei, Iyer and
Bilmes, ICML 2015), chosen greedily. Its own image counts half: nobody asks the model about it any
more, but it stands for those like it that are yet to come. With few labels, what is typical teaches
more than what is odd (Hacohen, Dekel and Weinshall, ICML 2022, arXiv:2202.02794).

The first `CHOSEN` are chosen so; nobody labels more at once, and the rest follow by their scores
then. d is the distance of features, scaled so that its root mean square over two random images is
1; what is further away is another image. The features are directions of activations, without their
length: with them, gain goes better with what labels bring than with each activation standardised
(docs/rank_results.md). Of larger pools, gains are sums over `AUDIENCE` images, evenly spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfadvseg.ranking.measures import Measures

CHOSEN = 1000  # images that are chosen one by one
OWN = 0.5  # what an image itself counts, beside those that are like it
BLOCK = 256  # images whose distances to all others are computed together, with 64 bits
AUDIENCE = 2000  # images that gains are summed over, or memory would grow with the pool's square


def shares(measures: Measures, typical: np.ndarray) -> np.ndarray:
    """u_gf (N, 3, F); `typical` (3, F) are the mean sizes m_gf of a slice."""
    sizes = measures.sizes + typical
    return np.divide(measures.amounts, sizes, out=np.zeros_like(sizes), where=sizes > 0)


def benefits(shares: np.ndarray) -> np.ndarray:
    """The benefit (N,) of images from their u_gf (N, 3, F).

    An ingredient that is 0 for all images says nothing and is left out.
    """
    ingredients = shares.mean(axis=-1)
    typical = ingredients.mean(axis=0)
    known = typical > 0
    if not known.any():
        return np.zeros(len(shares))
    return (ingredients[:, known] / typical[known]).mean(axis=1)


def directions(features: np.ndarray) -> np.ndarray:
    """Features (N, K) over their lengths: what is seen, not how much or how brightly; 0 stays."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.divide(features, lengths, out=np.zeros_like(features), where=lengths > 0)


def scaled(features: np.ndarray) -> np.ndarray:
    """Features (N, K), moved and scaled so that the root mean square distance of two rows is 1.

    They are 0 where all rows are the same.
    """
    moved = features - features.mean(axis=0)
    distance = np.sqrt(2 * moved.var(axis=0).sum())
    if distance <= 1e-6 * np.abs(features).max(initial=0):
        return np.zeros_like(moved)
    return moved / distance


@dataclass(frozen=True)
class Choice:
    """The order in which to label images.

    Attributes:
        order: (N,) their indices; of equal ones the first comes first.
        gain: (N,) share of all that is not known which each would teach, when it was chosen.
        novelty: (N,) of each when it was chosen.
    """

    order: np.ndarray
    gain: np.ndarray
    novelty: np.ndarray


def choose(
    benefit: np.ndarray,
    features: np.ndarray,
    patients: Sequence[str],
    labelled_features: np.ndarray,
    labelled_patients: Sequence[str],
) -> Choice:
    """Puts images in the order in which to label them.

    Args:
        benefit: (N,) of the images.
        features: (N, K) of the images.
        patients: of the images.
        labelled_features: (L, K) of labelled images.
        labelled_patients: of these.
    """
    every = scaled(np.concatenate([features, labelled_features]))
    features, labelled_features = np.split(every, [len(benefit)])
    cover = Cover(benefit, features, labelled_features)
    owner = np.unique(patients, return_inverse=True)[1]
    count = Counter(labelled_patients)
    taken = np.array([count[patient] for patient in patients])
    left, order = np.ones(len(benefit), bool), []

    def scores() -> np.ndarray:
        gain = cover.gain.round(7)  # what differs by rounding alone is equal
        return np.where(left, gain / (1 + taken), -1)

    for _ in range(min(CHOSEN, len(benefit))):
        best = int(scores().argmax())
        order.append(best)
        left[best] = False
        taken[owner == owner[best]] += 1
        cover.label(best, left)
    rest = np.argsort(-scores(), kind="stable")[: np.count_nonzero(left)]
    return Choice(np.concatenate([order, rest]).astype(int), cover.gain, cover.novelty)


class Cover:
    """How near the images are to a label, and what a label of each would gain.

    Args:
        benefit: (N,) of the images.
        features: (N, K) of the images, scaled.
        labelled_features: (L, K) of labelled images, scaled alike.

    Attributes:
        novelty: (N,) of the images; of one that is labelled, when it was.
    """

    def __init__(self, benefit: np.ndarray, features: np.ndarray, labelled_features: np.ndarray):
        self.features, self.squares = features, (features**2).sum(axis=1)
        self.novelty = np.ones(len(benefit))
        for start in range(0, len(labelled_features), BLOCK):
            some = self._distances(labelled_features[start : start + BLOCK])
            self.novelty = np.minimum(self.novelty, some.min(axis=0))
        self.audience = np.unique(np.linspace(0, len(benefit) - 1, AUDIENCE).astype(int))
        self.distances = self._distances(features[self.audience])
        self.distances[np.arange(len(self.audience)), self.audience] = np.inf
        self.unknown = self.novelty[self.audience].astype(np.float32)
        missing = benefit[self.audience]
        total = max((missing * self.unknown).sum(), np.finfo(float).tiny)
        self.weights = (missing / total).astype(np.float32)
        self.own = OWN * benefit / total * len(self.audience) / len(benefit)
        nearer = np.maximum(0, self.unknown[:, np.newaxis] - self.distances)
        self.others = (self.weights @ nearer).astype(float)

    @property
    def gain(self) -> np.ndarray:
        """(N,) of the images; of one that is labelled, when it was."""
        return self.others + self.own * self.novelty

    def label(self, chosen: int, left: np.ndarray) -> None:
        """Takes an image as labelled; what those that are `left` (N,) gain changes."""
        closer = np.minimum(self.novelty, self._distances(self.features[[chosen]])[0])
        self.novelty = np.where(left, closer, self.novelty)
        unknown = np.minimum(self.unknown, self.distances[:, chosen])
        unknown[self.audience == chosen] = 0
        nearer = np.flatnonzero(unknown < self.unknown)
        old, new = (values[nearer, np.newaxis] for values in (self.unknown, unknown))
        lost = self.weights[nearer] @ (old - np.clip(self.distances[nearer], new, old))
        self.others = np.where(left, self.others - lost, self.others)
        self.unknown = unknown

    def _distances(self, rows: np.ndarray) -> np.ndarray:
        """Distances (R, N), with 32 bits, from rows (R, K) to the images.

        By matrix products, as SciPy's `cdist` was most of the time of `benchmarks/rank_order.py`.
        """
        parts = []
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            own = (block**2).sum(axis=1)[:, np.newaxis]
            squares = own + self.squares - 2 * block @ self.features.T
            parts.append(np.sqrt(np.maximum(0, squares)).astype(np.float32))
        return np.concatenate(parts)
