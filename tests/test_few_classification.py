"""Classification with few labels: what is packed and read back, training against a plain implementation, figures."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from mutual.base.store import write_array, write_bytes, write_text
from mutual.classification import predictions
from mutual.classification.figures import accuracies, accuracy, beliefs
from mutual.classification.fitting import (
    MIXES,
    ORDER,
    Dynamics,
    Plan,
    Pseudo,
    Said,
    Trainer,
    Views,
    check_enough,
    fit_labelled,
    fit_phase,
)
from mutual.classification.packed import (
    read_classes,
    read_labels,
    read_pictures,
    read_split,
    write_packed,
    write_split,
)
from mutual.classification.predictions import logits_of, probabilities, read_network, read_pseudo
from mutual.classification.runs import Form, Labelling
from mutual.classification.sources import ClassData, Split
from mutual.classification.splits import Parts, divided
from mutual.classification.views import CIFAR
from mutual.classification.wide_resnet import WideResNet, wide_resnet
from mutual.few.weighting import Weighting
from mutual.machine.device import CPU
from mutual.machine.streams import numpy_stream
from tests.tiny import refusal

CLASSES = 3
IMAGES = np.random.default_rng(5).integers(0, 256, (40, 8, 8, 3), np.uint8)
TRUE = np.random.default_rng(6).permutation(np.arange(40) % CLASSES)
PLAIN = Views("none", 0, False)
PLAN = Plan(epochs=2, batch_size=10, labelled=4, lr=0.02, momentum=0.9, weight_decay=0.01, kept=0.1, mixup=True)
AGREEMENT = Dynamics(Weighting("agreement", 2.0, 1.0), ramp=True, first_full=True)


# --- packed data -----------------------------------------------------------------------------------------------------


def packed(folder: Path) -> Path:
    names = [f"{row:02d}.png" for row in range(len(IMAGES))]
    train, test = Split(IMAGES[:30], TRUE[:30], names[:30]), Split(IMAGES[30:], TRUE[30:], names[30:])
    write_packed(folder, ClassData(train, test, ["cat", "dog", "Öl, raw"], []))
    return folder


def test_what_is_packed_is_read_back(tmp_path: Path) -> None:
    folder = packed(tmp_path / "packed")
    assert read_classes(folder) == ["cat", "dog", "Öl, raw"]
    for split, part in (("train", np.s_[:30]), ("test", np.s_[30:])):
        assert np.array_equal(read_pictures(folder, split), IMAGES[part])
        assert np.array_equal(read_labels(folder, split), TRUE[part])


def test_labels_that_are_no_class_are_refused(tmp_path: Path) -> None:
    folder = packed(tmp_path / "packed")
    write_text(folder / "test.csv", "row,label\n0,2\n1,3\n")
    told = refusal(lambda: read_labels(folder, "test"))
    assert told == f"{folder}/test.csv: label of row 2: expected whole numbers from 0 to 2, found '3'"
    write_text(folder / "classes.json", '["cat"]\n')
    assert refusal(lambda: read_classes(folder)).endswith("classes.json: expected two classes at least, found 1")


def test_a_split_names_labels_of_labelled_images_alone(tmp_path: Path) -> None:
    path, parts = tmp_path / "seed1.csv", divided(TRUE, ["a", "b", "c"], 2, 3, seed=1)
    write_split(path, parts, TRUE)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "part,label"
    assert sum(not line.endswith(",") for line in lines[1:]) == 6
    known = read_split(path, CLASSES, len(TRUE))
    for part in ("labelled", "unlabelled", "validation"):
        assert np.array_equal(getattr(known.parts, part), getattr(parts, part))
    assert np.array_equal(known.labels, TRUE[parts.labelled])
    # other labels of the others: the same bytes
    others = TRUE.copy()
    others[parts.unlabelled], others[parts.validation] = 0, 1
    write_split(tmp_path / "other.csv", parts, others)
    assert (tmp_path / "other.csv").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("labelled,0\nunlabelled,\n", "expected a line for each of 3 images, found 2"),
        ("labelled,0\nunlabelled,\nhidden,\n", "expected labelled, unlabelled, validation, found 'hidden'"),
        ("labelled,0\nunlabelled,\nlabelled,3\n", "label of row 2: expected whole numbers from 0 to 2, found '3'"),
        ("labelled,\nunlabelled,\nunlabelled,\n", "label of row 1: expected whole numbers from 0 to 2, found ''"),
        ("labelled,0\nunlabelled\n", "line 3: expected part,label"),
    ],
)
def test_a_split_of_something_else_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "seed1.csv"
    write_text(path, f"part,label\n{text}")
    assert refusal(lambda: read_split(path, CLASSES, 3)).startswith(f"{path}: {told}")


# --- training against a plain implementation -------------------------------------------------------------------------


def orders(images: int, seed: int, purpose: str, number: int) -> Iterator[int]:
    passes = (numpy_stream(seed, f"{ORDER}: {purpose}", number, each).permutation(images).tolist() for each in count())
    return chain.from_iterable(passes)


def seen(rows: list[int]) -> Tensor:
    """Images of the rows as a network without augmentation sees them."""
    scaled = (IMAGES[rows] / 255 - np.array(CIFAR.mean)) / np.array(CIFAR.std)
    return torch.from_numpy(scaled.astype(np.float32)).permute(0, 3, 1, 2)


def plain_weights(how: Dynamics, p: np.ndarray, labels: list[int], sure: np.ndarray, t: int, total: int) -> list[float]:
    factor = np.exp(-5 * (1 - t / total) ** 2) if how.ramp and not (how.first_full and t == 1) else 1.0
    weights = []
    for own, label, theirs in zip(p, labels, sure, strict=True):
        agrees, gammas = own.argmax() == label, (how.weighting.gamma1 * factor, how.weighting.gamma2 * factor)
        if how.weighting.form == "ones":
            weights.append(1.0)
        elif how.weighting.form == "own" or agrees:
            weights.append(float(own[label]) ** gammas[0])
        else:
            weights.append(float(own[label]) ** gammas[1] if own.max() <= theirs else 0.0)
    return weights


def plain_fit(
    network: WideResNet, plan: Plan, rows: list[int], pseudo: Pseudo | None, how: Dynamics, seed: int, number: int
) -> tuple[dict[str, Tensor], list[float], np.ndarray]:
    """The averaged parameters, the losses, and the mean weight of each pseudo-labelled image."""
    taken = plan.batch_size - plan.labelled if pseudo else 0
    total = -(-plan.epochs * (len(pseudo.rows) if pseudo else len(rows)) // (taken or plan.batch_size))
    named = orders(len(rows), seed, "labelled", number)
    others = orders(len(pseudo.rows), seed, "pseudo-labelled", number) if pseudo else iter([])
    average = {name: p.detach().clone() for name, p in network.named_parameters()}
    speed = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    losses, sums, counts = [], np.zeros(40), np.zeros(40)
    network.train()
    for t in range(total):
        first = [next(others) for _ in range(taken)]
        second = [rows[next(named)] for _ in range(plan.batch_size - taken)]
        batch = [*(pseudo.rows[first].tolist() if pseudo else []), *second]
        labels = [*(pseudo.labels[first].tolist() if pseudo else []), *TRUE[second].tolist()]
        images, weights = seen(batch), np.ones(len(batch))
        logits = network(images) if not plan.mixup or (pseudo and how.weighting.form != "ones") else None
        if pseudo and logits is not None:
            p = logits.detach().softmax(1).numpy()[:taken]
            weights[:taken] = plain_weights(how, p, labels[:taken], pseudo.confidences[first], t + 1, total)
        ours, share = list(range(len(batch))), 1.0
        partner = ours
        if plan.mixup:
            rng = numpy_stream(seed, MIXES, number, t)
            share = rng.beta(0.75, 0.75)
            share = max(share, 1 - share) if pseudo else share
            partner = rng.permutation(len(batch)).tolist()
            logits = network(share * images + (1 - share) * images[partner])
        assert logits is not None
        log_p = logits - logits.exp().sum(1, keepdim=True).log()
        loss = torch.zeros(())
        for i, j in zip(ours, partner, strict=True):
            entropy = -(share * log_p[i, labels[i]] + (1 - share) * log_p[i, labels[j]])
            loss = loss + (share * weights[i] + (1 - share) * weights[j]) * entropy / len(batch)
        network.zero_grad()
        loss.backward()
        rate = plan.lr * (1 + np.cos(np.pi * t / total)) / 2
        with torch.no_grad():
            for name, p_ in network.named_parameters():
                assert p_.grad is not None
                speed[name] = plan.momentum * speed[name] + p_.grad + plan.weight_decay * p_
                p_.sub_(rate * speed[name])
                average[name] = plan.kept * average[name] + (1 - plan.kept) * p_
        losses.append(float(loss.detach()))
        for place, weight in zip(first, weights, strict=False):
            sums[place], counts[place] = sums[place] + weight, counts[place] + 1
    return average, losses, sums[: len(pseudo.rows)] / counts[: len(pseudo.rows)] if pseudo else sums


def pseudo_labelled() -> Pseudo:
    rng = np.random.default_rng(8)
    labels = np.where(rng.random(15) < 0.7, TRUE[10:25], rng.integers(0, CLASSES, 15))
    return Pseudo(np.arange(10, 25), labels, rng.uniform(0.3, 0.6, 15).astype(np.float32))


def trainer(plan: Plan, iterations: int, views: Views = PLAIN, number: int = 3) -> Trainer:
    network, average = (wide_resnet(CLASSES, 10, 1, seed=4) for _ in range(2))
    return Trainer(network, average, plan, views, iterations, seed=9, number=number)


def fitted(plan: Plan, how: Dynamics, views: Views = PLAIN) -> tuple[Trainer, list[Said], np.ndarray]:
    pseudo = pseudo_labelled()
    counted = torch.zeros(2, len(pseudo.rows))
    found = trainer(plan, 5, views)  # 2 x 15 images, 6 in a batch
    said = list(fit_phase(found, IMAGES, np.arange(5), TRUE[:5], pseudo, how, counted))
    return found, said, (counted[0] / counted[1]).numpy()


def assert_trained(found: Trainer, said: list[Said], average: dict[str, Tensor], losses: list[float]) -> None:
    np.testing.assert_allclose([float(each.loss) for each in said], losses, rtol=1e-5, atol=1e-6)
    for name, expected in average.items():
        torch.testing.assert_close(found.average.get_parameter(name), expected, rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("plan", "how"),
    [
        (PLAN, AGREEMENT),
        (PLAN, replace(AGREEMENT, first_full=False)),
        (PLAN, replace(AGREEMENT, ramp=False)),
        (PLAN, Dynamics(Weighting("own", 3.0), ramp=False, first_full=True)),
        (PLAN, Dynamics(Weighting("ones"), ramp=False, first_full=True)),
        (replace(PLAN, mixup=False), AGREEMENT),
    ],
    ids=["agreement", "ramp from the start", "no ramp", "own", "ones", "no mixup"],
)
def test_a_phase_is_that_of_a_plain_implementation(plan: Plan, how: Dynamics) -> None:
    found, said, weights = fitted(plan, how)
    network = wide_resnet(CLASSES, 10, 1, seed=4)
    average, losses, expected = plain_fit(network, plan, list(range(5)), pseudo_labelled(), how, seed=9, number=3)
    assert len(said) == 5
    assert_trained(found, said, average, losses)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-5)
    # batch norms of the average are the network's: they saw as many batches as it did
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(found.average.get_buffer(name), buffer, rtol=1e-4, atol=1e-5, msg=name)
    assert not found.average.training


def test_learning_from_labels_is_that_of_a_plain_implementation() -> None:
    """A batch larger than the set has images twice; the mix is as it is drawn, not mostly the image itself."""
    plan = replace(PLAN, labelled=0, epochs=6)
    found = trainer(plan, 4)  # 6 x 6 images, 10 in a batch
    said = list(fit_labelled(found, IMAGES, np.arange(6), TRUE[:6]))
    average, losses, _ = plain_fit(wide_resnet(CLASSES, 10, 1, seed=4), plan, list(range(6)), None, AGREEMENT, 9, 3)
    assert_trained(found, said, average, losses)


def test_the_ramp_reaches_the_weights() -> None:
    """Exponents near 0 give weights near 1, or 0, until they have risen; the first iteration has them in full."""
    own = Weighting("own", 3.0)
    lowest = {
        first_full: [float(each.weights.min()) for each in fitted(PLAN, Dynamics(own, True, first_full))[1]]
        for first_full in (True, False)
    }
    flat = [float(each.weights.min()) for each in fitted(PLAN, Dynamics(own, False, True))[1]]
    assert lowest[True][0] == flat[0]
    assert lowest[False][0] == pytest.approx(flat[0] ** np.exp(-5 * 0.8**2), rel=1e-4)
    assert lowest[False][0] > 0.7 > flat[0]


@pytest.mark.parametrize(
    ("form", "mixup", "passes"),
    [("ones", True, 1), ("agreement", True, 2), ("own", True, 2), ("agreement", False, 1), ("ones", False, 1)],
)
def test_weights_take_a_pass_of_their_own_where_they_need_it(form: str, mixup: bool, passes: int) -> None:
    how = Dynamics(Weighting(form, 1.0, 1.0), ramp=False, first_full=True)  # type: ignore[arg-type]
    found, said, _ = fitted(replace(PLAN, mixup=mixup), how)
    assert found.network.state_dict()["bn1.num_batches_tracked"] == passes * len(said)


def test_every_pseudo_labelled_image_is_counted_in_each_pass() -> None:
    pseudo, found = pseudo_labelled(), trainer(PLAN, 5)
    counted = torch.zeros(2, 15)
    said = list(fit_phase(found, IMAGES, np.arange(5), TRUE[:5], pseudo, AGREEMENT, counted))
    assert counted[1].tolist() == [2.0] * 15
    assert float(counted[0].sum()) == pytest.approx(float(sum(each.weights.sum() for each in said)), rel=1e-5)
    assert all(len(each.weights) == 6 for each in said)


def test_views_and_numbers_are_a_phases_own() -> None:
    views = Views("mild", 1, True)
    first, again = (fitted(PLAN, AGREEMENT, views)[1] for _ in range(2))
    assert [float(each.loss) for each in first] == [float(each.loss) for each in again]
    plain = fitted(PLAN, AGREEMENT)[1]
    assert float(first[0].loss) != float(plain[0].loss)
    found = [trainer(PLAN, 5, views, number).views_of(IMAGES, np.arange(4), 0) for number in (3, 3, 4)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_phase_with_fewer_images_than_a_batch_is_refused() -> None:
    pseudo = pseudo_labelled()
    check_enough(pseudo, replace(PLAN, batch_size=19))
    assert refusal(lambda: check_enough(pseudo, replace(PLAN, batch_size=20))) == (
        "batch_size: expected at most the 15 images that the phase uses beside labelled_in_batch 4, got 20: "
        "lower it, or raise the phase's share"
    )


# --- what networks say -----------------------------------------------------------------------------------------------


@pytest.fixture
def network(tmp_path: Path) -> WideResNet:
    """One that has seen some batches, written as training writes it."""
    made = wide_resnet(CLASSES, 10, 1, seed=2).train()
    with torch.no_grad():
        made(seen(list(range(40))))
    write_bytes(tmp_path / "run/network.safetensors", save({k: v.contiguous() for k, v in made.state_dict().items()}))
    return made.eval()


def test_answers_in_batches_are_those_one_by_one(
    tmp_path: Path, network: WideResNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_network(tmp_path / "run", wide_resnet(CLASSES, 10, 1, seed=0), CPU)
    rows = np.array([7, 3, 39, 0, 3])
    with torch.no_grad():
        one_by_one = torch.cat([network(seen([row])) for row in rows.tolist()])
    for step in (1, 2, 100):
        monkeypatch.setitem(predictions.AT_ONCE, "cpu", step)
        np.testing.assert_allclose(logits_of(read, IMAGES, rows, CPU), one_by_one.numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(probabilities(read, IMAGES, rows, CPU).sum(1), 1, rtol=1e-6)


def test_networks_of_another_form_are_refused(tmp_path: Path, network: WideResNet) -> None:
    for other in (wide_resnet(CLASSES + 1, 10, 1, seed=0), wide_resnet(CLASSES, 16, 1, seed=0)):
        assert "network.safetensors" in refusal(partial(read_network, tmp_path / "run", other, CPU))
    (tmp_path / "run/network.safetensors").write_bytes(b"something else")
    told = refusal(lambda: read_network(tmp_path / "run", wide_resnet(CLASSES, 10, 1, seed=0), CPU))
    assert told.startswith(f"{tmp_path}/run/network.safetensors: expected a safetensors file")


def test_the_surest_images_are_labelled(tmp_path: Path, network: WideResNet) -> None:
    folder, parts = packed(tmp_path / "packed"), divided(TRUE[:30], ["a", "b", "c"], 2, 2, seed=1)
    write_split(tmp_path / "split.csv", parts, TRUE[:30])
    out = tmp_path / "labels"
    Labelling(folder, tmp_path / "split.csv", tmp_path / "run", out, Form(10, 1), "per_class", 0.5, "cpu").do()
    with torch.no_grad():
        sure, named = network(seen(parts.unlabelled.tolist())).softmax(1).max(1)
    found = np.load(out / "labels.npy")
    np.testing.assert_allclose(np.load(out / "confidences.npy"), sure.numpy(), rtol=1e-5)
    for label in range(CLASSES):
        of = [i for i in range(len(found)) if named[i] == label]
        used = sorted(of, key=lambda i: -float(sure[i]))[: -(-len(of) // 2)]
        assert np.flatnonzero(found == label).tolist() == sorted(used)
    pseudo = read_pseudo(out, parts.unlabelled, CLASSES)
    assert np.array_equal(pseudo.rows, parts.unlabelled[found >= 0])
    assert np.array_equal(pseudo.labels, found[found >= 0])
    write_array(out / "labels.npy", found + 1)
    told = refusal(lambda: read_pseudo(out, parts.unlabelled, int(found.max()) + 1))
    assert told == f"{out}/labels.npy: expected classes from 0 to {found.max()}, or -1"
    assert "expected an array of shape (3)" in refusal(lambda: read_pseudo(out, parts.unlabelled[:3], CLASSES))


def test_what_labels_were_worth_by_hand(tmp_path: Path) -> None:
    """Five unlabelled images, four of them used, three of these rightly."""
    folder, run = packed(tmp_path / "packed"), tmp_path / "run"
    write_split(tmp_path / "split.csv", Parts(np.arange(20), np.arange(20, 25), np.arange(25, 30)), TRUE[:30])
    labels = TRUE[20:25].copy()
    labels[1], labels[3] = (labels[1] + 1) % CLASSES, -1
    write_array(tmp_path / "labels/labels.npy", labels)
    write_array(tmp_path / "labels/confidences.npy", np.full(5, 0.5, np.float32))
    write_array(run / "weights.npy", np.array([1, 0.25, 0.5, 0.75], np.float32))
    found = beliefs(folder, tmp_path / "split.csv", run, tmp_path / "labels")
    assert found == {"used": 0.8, "right": 0.75, "weight_right": 0.75, "weight_wrong": 0.25}
    write_array(tmp_path / "labels/labels.npy", np.array([-1, -1, TRUE[22], -1, -1]))
    write_array(run / "weights.npy", np.ones(1, np.float32))
    found = beliefs(folder, tmp_path / "split.csv", run, tmp_path / "labels")
    assert np.isnan(found.pop("weight_wrong"))
    assert found == {"used": 0.2, "right": 1.0, "weight_right": 1.0}
    write_array(run / "weights.npy", np.ones(2, np.float32))
    assert "weights.npy" in refusal(lambda: beliefs(folder, tmp_path / "split.csv", run, tmp_path / "labels"))


def test_accuracies_by_hand(tmp_path: Path, network: WideResNet) -> None:
    folder, form = packed(tmp_path / "packed"), Form(10, 1)
    with torch.no_grad():
        right = network(seen(list(range(40)))).argmax(1).numpy() == TRUE
    kept = np.array([2, 3, 5, 28])
    for validation in (kept, kept[:0]):
        others = np.setdiff1d(np.arange(30), validation)
        write_split(tmp_path / "split.csv", Parts(others[:9], others[9:], validation), TRUE[:30])
        found = accuracies(folder, tmp_path / "split.csv", tmp_path / "run", form, CPU)
        assert found["test"] == right[30:].mean()
        if len(validation):
            assert found["validation"] == right[kept].mean()
        else:
            assert np.isnan(found["validation"])
    assert np.isnan(accuracy(deepcopy(network), IMAGES, kept[:0], TRUE[:0], CPU))
