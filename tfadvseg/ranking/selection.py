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

    next = argmax  benefit x novelty / (1 + taken)
    novelty = min(1, distance to the nearest image that is labelled or chosen / sqrt(2 K))
    taken = number of images of the same patient that are labelled or chosen

So the first `CHOSEN` are; nobody labels more at once, and the rest follow by their scores then. The
distance is between K standardised features (k-center, or core-set: Sener and Savarese 2018,
arXiv:1708.00489), whose root mean square over two random images is sqrt(2 K); what is further away
is another image, and gains nothing from being an odd one. That benefit multiplies distance is what
BADGE (Ash et al. 2020, arXiv:1906.03671) does with the length of its gradients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

from tfadvseg.ranking.measures import Measures

CHOSEN = 1000  # images that are chosen one by one


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


def standardised(features: np.ndarray) -> np.ndarray:
    """Features (N, K) over sqrt(2 K), after each got mean 0 and deviation 1; constant ones are 0.

    The root mean square distance of two rows is then 1.
    """
    deviation = features.std(axis=0)
    varies = deviation > 1e-6 * np.abs(features).max(axis=0, initial=0)
    kept = (features[:, varies] - features[:, varies].mean(axis=0)) / deviation[varies]
    return kept / np.sqrt(2 * max(1, kept.shape[1]))


def choose(
    benefit: np.ndarray,
    features: np.ndarray,
    patients: Sequence[str],
    labelled_features: np.ndarray,
    labelled_patients: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Puts images in the order in which to label them.

    Args:
        benefit: (N,) of the images.
        features: (N, K) of the images.
        patients: of the images.
        labelled_features: (L, K) of labelled images.
        labelled_patients: of these.

    Returns:
        The indices of the images in order, (N,), and the novelty of each image, (N,), when it was
        chosen. Of equal ones the first comes first.
    """
    every = standardised(np.concatenate([features, labelled_features]))
    features, labelled_features = np.split(every, [len(benefit)])
    novelty = np.ones(len(benefit))
    for one in labelled_features:
        novelty = np.minimum(novelty, _distances(features, one))
    owner = np.unique(patients, return_inverse=True)[1]
    count = Counter(labelled_patients)
    taken = np.array([count[patient] for patient in patients])
    left, order = np.ones(len(benefit), bool), []

    def scores() -> np.ndarray:
        return np.where(left, benefit * novelty / (1 + taken), -1)

    for _ in range(min(CHOSEN, len(benefit))):
        best = int(scores().argmax())
        order.append(best)
        left[best] = False
        taken[owner == owner[best]] += 1
        closer = np.minimum(novelty, _distances(features, features[best]))
        novelty = np.where(left, closer, novelty)
    rest = np.argsort(-scores(), kind="stable")[: np.count_nonzero(left)]
    return np.concatenate([order, rest]).astype(int), novelty


def _distances(rows: np.ndarray, one: np.ndarray) -> np.ndarray:
    return cdist(rows, one[np.newaxis])[:, 0]
