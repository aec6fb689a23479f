"""What goes wrong unseen where no label of the target is known: lines for the log and the page.

The limits are far from what the demo shows; they are no measured borders between success and failure.
"""

from collections.abc import Iterator, Mapping

import numpy as np


def alarms(labels: np.ndarray, figures: Mapping[str, float]) -> Iterator[str]:
    """Yield a line for each thing that goes wrong unseen in (N,) labels, -1 for outliers, and their label-free figures.

    See :func:`mutual.clusters.label_free.label_free`; of figures that are not known nothing is said.
    """
    largest = np.bincount(labels[labels >= 0], minlength=1).max() / len(labels)
    if largest > 0.5:
        yield f"one cluster holds {largest:.0%} of the images: few clusters, or a network that tells little apart"
    if (labels < 0).mean() > 0.5:
        yield f"{(labels < 0).mean():.0%} of the images are outliers, which are not trained on"
    if figures.get("variance", 1) < 0.01:
        yield f"the features vary by {figures['variance']:.2%} of their length: the network is about to collapse"
    if figures.get("stability") == 1:
        told = "it has learned nothing, or all there is, and fewer rounds would do"
        yield f"the pseudo labels are those of the round before: {told}"
    if figures.get("camera_nmi", 0) > 0.5:
        told = f"adjusted mutual information {figures['camera_nmi']:.2f}"
        yield f"clusters follow the cameras more than what is on the images ({told}): adaptation may hurt"
    if figures.get("consistency", 1) < 0.2:
        told = f"{figures['consistency']:.0%} of an image's cluster stay together"
        yield f"clustered again, {told}: the start is too weak for these pseudo labels, adaptation may hurt"
