"""Features of a packed image set, and how well they find people again."""

import re
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from mutual.base.errors import InputError
from mutual.base.store import write_array
from mutual.evaluation import features
from mutual.evaluation.accuracy import accuracy_on
from mutual.evaluation.features import mean_features
from mutual.evaluation.ranking import euclidean, rank_blocks
from mutual.images.index import Index, write_index
from mutual.images.normalisation import normalise
from mutual.networks.peers import Peer, peer_path, write_peer
from mutual.networks.reid import ReidNetwork, inference


def test_features_are_the_embedding_of_each_image_in_order_whatever_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    network = inference(ReidNetwork("resnet18", 2))
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 16, 3), np.uint8)
    with torch.inference_mode():
        expected = torch.cat([network.embed(normalise(torch.from_numpy(images[i : i + 1]))) for i in range(7)]).numpy()
    monkeypatch.setitem(features.BATCH, "cpu", 3)  # two full blocks and a rest
    found = features.extract(network, images, torch.device("cpu"), "test")
    assert found.dtype == np.float32
    assert found.shape == (7, 512)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_features_that_are_not_finite_are_refused_by_what_was_done() -> None:
    network = inference(ReidNetwork("resnet18", 2))
    torch.nn.init.constant_(network.neck.running_var, -1.0)  # type: ignore[arg-type]
    images = np.zeros((2, 32, 16, 3), np.uint8)
    with pytest.raises(InputError, match="r01: features of peer 2: the features are not finite"):
        features.extract(network, images, torch.device("cpu"), "r01: features of peer 2")


def test_features_of_a_network_that_sees_nothing_are_refused() -> None:
    network = inference(ReidNetwork("resnet18", 2))
    images = np.random.default_rng(3).integers(0, 256, (3, 32, 16, 3), np.uint8)
    assert features.extract(network, images[:0], torch.device("cpu"), "none").shape == (0, 512)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    with pytest.raises(InputError, match="r01: peer 2 on the query: 3 of 3 features are 0"):
        features.extract(network, images, torch.device("cpu"), "r01: peer 2 on the query")


def test_teachers_are_read_one_by_one_and_see_every_set(tmp_path: Path) -> None:
    sets = {
        name: np.random.default_rng(4).integers(0, 256, (n, 32, 16, 3), np.uint8) for name, n in (("a", 2), ("b", 3))
    }
    students, teachers = [ReidNetwork("resnet18", 2) for _ in "12"], [ReidNetwork("resnet18", 2) for _ in "12"]
    for seed, student, teacher in zip((7, 3), students, teachers, strict=True):
        write_peer(peer_path(tmp_path / "r01", seed), student, teacher, Peer(student.form, 2, 32, 16))
    found = list(features.of_teachers(tmp_path / "r01", [7, 3], sets, torch.device("cpu")))
    assert [seed for seed, _ in found] == [7, 3]
    for (_, of_peer), teacher in zip(found, teachers, strict=True):
        assert list(of_peer) == ["a", "b"]
        for name, images in sets.items():
            expected = features.extract(inference(teacher), images, torch.device("cpu"), "")
            np.testing.assert_array_equal(of_peer[name], expected)


def test_images_of_another_size_than_a_teacher_knows_are_refused(tmp_path: Path) -> None:
    network = ReidNetwork("resnet18", 2)
    write_peer(peer_path(tmp_path, 1), network, network, Peer(network.form, 2, 32, 16))
    expected = f"query: expected 32 x 16 pixels as {peer_path(tmp_path, 1)} has it, found images of 16 x 32"
    with pytest.raises(InputError, match=re.escape(expected)):
        next(features.of_teachers(tmp_path, [1], {"query": np.ones((1, 16, 32, 3), np.uint8)}, torch.device("cpu")))


def test_peers_features_are_averaged() -> None:
    peers = [np.array([[1.0, 0.0], [0.6, 0.8]], np.float32), np.array([[0.0, 1.0], [0.6, -0.8]], np.float32)]
    found = mean_features(peers)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.6, 0.0]], rtol=1e-6)
    assert mean_features([np.zeros((0, 4), np.float32)]).shape == (0, 4)


def test_accuracy_on_a_packed_set_is_that_of_its_features_and_the_network_goes_on_training(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network, rng, device = ReidNetwork("resnet18", 2), np.random.default_rng(2), torch.device("cpu")
    index, found = {}, {}
    for split, count in (("query", 6), ("gallery", 20)):
        images = rng.integers(0, 256, (count, 32, 16, 3), np.uint8)
        files = [f"{i}.jpg" for i in range(count)]
        index[split] = Index(files, rng.integers(1, 5, count), rng.integers(1, 4, count))
        write_array(tmp_path / f"{split}.npy", images)
        write_index(tmp_path / f"{split}.csv", index[split])
        found[split] = features.extract(inference(deepcopy(network)), images, device, split)
    before = deepcopy(network.state_dict())
    q, g = index.values()
    blocks = euclidean(found["query"], found["gallery"], device)
    ranking, _ = rank_blocks(blocks, q.pid, g.pid, q.camid, g.camid)
    assert accuracy_on(tmp_path, device, network) == ranking.mean_average_precision
    assert network.training
    assert network.get_parameter("backbone.conv1.weight").requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
