"""What runs on a GPU gives what the CPU gives, but for rounding, and the same bytes each time.

Skipped where there is none. On a machine with one: pytest tests/test_gpu.py
"""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim import Adam

from mutual.clusters.density import by_density
from mutual.clusters.jaccard import source_distances
from mutual.clusters.kmeans import kmeans
from mutual.clusters.neighbours import nearest
from mutual.evaluation.features import extract
from mutual.evaluation.ranking import euclidean, rank_blocks
from mutual.evaluation.reranking import reranked
from mutual.images.views import training_views
from mutual.learning.adaptation import Round, for_training, shares_of_lr, step
from mutual.learning.batches import Batch
from mutual.machine.device import CPU, deterministic_device
from mutual.machine.ranks import ALONE
from mutual.networks.norms import in_parts
from mutual.networks.reid import ReidNetwork, inference
from mutual.refineries.contract import Targets
from mutual.refineries.mmt import MutualMeanTeaching

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

COUNT, WIDTH, PEOPLE = 600, 64, 30
MUTUAL = MutualMeanTeaching(alpha=0.99, soft_ce_weight=0.5, soft_tri_weight=0.8, label_smoothing=0.1)


def gpu() -> torch.device:
    return deterministic_device()


def features(seed: int = 0, noise: float = 0.6) -> np.ndarray:
    """(600, 64) float32 of length 1, of 30 people."""
    rng = np.random.default_rng(seed)
    people = rng.standard_normal((PEOPLE, WIDTH), np.float32)
    found = people[np.arange(COUNT) % PEOPLE] + np.float32(noise) * rng.standard_normal((COUNT, WIDTH), np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def pictures(count: int, height: int = 64, width: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


def trained(device: torch.device, precision: str, iterations: int, parts: int = 1) -> tuple[list[Tensor], list[Tensor]]:
    """Losses of the iterations, and what the first teacher then holds, on the CPU."""
    labels = torch.arange(16, device=device) // 4
    students = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = ReidNetwork("resnet18", 2, precision=precision)
        students.append(for_training(network, torch.randn(4, 512).to(device)))
        in_parts(students[-1], parts, domains=False)
    teachers = deepcopy(students)
    optimizer = Adam(shares_of_lr(students, 3.5e-4, 1.0), weight_decay=5e-4, fused=True)
    generator, losses = torch.Generator().manual_seed(0), []
    for i in range(iterations):
        views = [torch.randn(16, 3, 64, 32, generator=generator).to(device) for _ in range(2)]
        batch = Batch(torch.arange(16, device=device), Targets(labels), views)
        within = Round(1, iterations, 0, 4, 0.1)
        losses.append(step(MUTUAL, students, teachers, batch, None, optimizer, i, within).cpu())
    return losses, [tensor.cpu() for tensor in teachers[0].state_dict().values()]


@pytest.mark.parametrize("parts", [1, 4])
def test_an_iteration_is_the_cpus(parts: int) -> None:
    (ours,), (theirs,) = trained(gpu(), "fp32", 1, parts)[0], trained(CPU, "fp32", 1, parts)[0]
    torch.testing.assert_close(ours, theirs, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_iterations_give_the_same_bytes_each_time(precision: str) -> None:
    first, again = (trained(gpu(), precision, 5) for _ in range(2))
    for one, other in zip(first[0] + first[1], again[0] + again[1], strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("precision", "within"), [("tf32", 0.01), ("bf16", 0.1)])
def test_less_precise_numbers_give_nearly_the_same(precision: str, within: float) -> None:
    (less,), (single,) = trained(gpu(), precision, 1)[0], trained(gpu(), "fp32", 1)[0]
    torch.testing.assert_close(less, single, rtol=within, atol=within)


def test_features_are_the_cpus() -> None:
    torch.manual_seed(0)
    network, images = inference(ReidNetwork("resnet18", 1)), pictures(300)
    alone = extract(network, images, CPU, "features")
    there = extract(network.to(gpu()), images, gpu(), "features")
    np.testing.assert_allclose(there, alone, rtol=0, atol=2e-5)
    assert (extract(network, images, gpu(), "features") == there).all()


@pytest.mark.parametrize("erase_probability", [0.0, 0.5])
def test_views_are_the_cpus(erase_probability: float) -> None:
    found = [
        training_views(
            pictures(40), np.random.default_rng(1), padding=3, erase_probability=erase_probability, device=device
        )
        for device in (CPU, gpu())
    ]
    torch.testing.assert_close(found[1].cpu(), found[0], rtol=0, atol=1e-6)


def test_neighbours_are_the_cpus() -> None:
    there, here = (nearest(features(), 21, device) for device in (gpu(), CPU))
    assert (there.index == here.index).mean() > 0.999  # distances that are equal but for rounding may change places
    np.testing.assert_allclose(there.farthest, here.farthest, rtol=0, atol=1e-5)


def test_kmeans_finds_the_people_there_too() -> None:
    for device in (gpu(), CPU):
        labels = kmeans(features(noise=0.1), PEOPLE, iterations=50, stream=np.random.default_rng(0), device=device)[0]
        pairs = set(zip(labels.tolist(), np.arange(COUNT) % PEOPLE, strict=True))
        assert len(pairs) == PEOPLE
    first, again = (
        kmeans(features(), PEOPLE, iterations=50, stream=np.random.default_rng(0), device=gpu()) for _ in range(2)
    )
    assert (first[0] == again[0]).all()
    assert (first[1] == again[1]).all()


def test_dbscan_and_its_eps_are_the_cpus() -> None:
    (there, _, eps, _), (here, _, expected, _) = (
        by_density(
            features(),
            features(1),
            k1=20,
            k2=6,
            exact=True,
            source_share=0.1,
            eps=None,
            rho=2e-2,
            min_samples=4,
            device=device,
            ranks=ALONE,
        )
        for device in (gpu(), CPU)
    )
    assert eps == pytest.approx(expected, abs=1e-5)
    assert here.max() + 1 > PEOPLE / 2
    assert (there == here).mean() > 0.99


def test_distances_to_the_source_are_the_cpus() -> None:
    there, here = (source_distances(features(), features(1), device) for device in (gpu(), CPU))
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rerank", [False, True])
def test_ranking_is_the_cpus(rerank: bool) -> None:
    sets, rng = (features()[:100], features()[100:]), np.random.default_rng(0)
    pids = np.arange(COUNT) % PEOPLE
    camids = rng.integers(0, 4, COUNT)
    rank = reranked if rerank else euclidean
    there, here = (
        rank_blocks(rank(*sets, device), pids[:100], pids[100:], camids[:100], camids[100:])[0]
        for device in (gpu(), CPU)
    )
    assert there.mean_average_precision == pytest.approx(here.mean_average_precision, abs=1e-4)
    assert there.rank(1) == pytest.approx(here.rank(1), abs=0.011)  # one query of the hundred
