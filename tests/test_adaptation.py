"""One iteration of a round."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from mutual.base.errors import InputError
from mutual.learning.adam import Adam
from mutual.learning.adaptation import TERMS, check_finite, for_training, shares_of_lr, step
from mutual.learning.teacher import update_teacher
from mutual.networks.reid import ReidNetwork
from mutual.refineries.losses import hard_losses, mutual_loss

TARGETS = torch.tensor([0, 0, 1, 1, 2, 2])
CLASSES = 3
HARD_ONLY: dict[str, Any] = {"soft_ce_weight": 0.0, "soft_tri_weight": 0.0, "label_smoothing": 0.1}
MUTUAL: dict[str, Any] = {"soft_ce_weight": 0.5, "soft_tri_weight": 0.8, "label_smoothing": 0.1}


def network(seed: int) -> ReidNetwork:
    torch.manual_seed(seed)
    return for_training(ReidNetwork("resnet18", 2), torch.randn(CLASSES, 512))


def peers(count: int = 2) -> tuple[list[ReidNetwork], list[ReidNetwork]]:
    """Students, and teachers that are their copies."""
    students = [network(seed) for seed in range(count)]
    return students, deepcopy(students)


def adam(students: list[ReidNetwork], lr: float = 1e-3) -> Adam:
    trained = [p for student in students for p in student.parameters() if p.requires_grad]
    return Adam([(trained, 1.0)], lr, 5e-4)


def views(iteration: int, count: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(iteration)
    return [torch.randn(len(TARGETS), 3, 32, 16, generator=generator) for _ in range(count)]


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_without_soft_losses_and_memory_skipping_the_teachers_changes_nothing() -> None:
    # a round then writes the student in the teacher's place: parameters and batch statistics must be the same
    alone, _ = peers()
    beside, teachers = peers()
    optimizers = adam(alone), adam(beside)
    for iteration in range(3):
        batch = views(iteration)
        first = step(alone, None, batch, TARGETS, optimizers[0], **HARD_ONLY)
        second = step(beside, teachers, batch, TARGETS, optimizers[1], **HARD_ONLY)
        for teacher, student in zip(teachers, beside, strict=True):
            update_teacher(teacher, student, iteration, alpha=0.0)
        assert torch.equal(first[[0, 1, 3]], second[[0, 1, 3]])
    for student, other, teacher in zip(alone, beside, teachers, strict=True):
        assert same(state(student), state(other))
        assert same(state(student), state(teacher))


def test_an_iteration_without_teachers_reports_no_soft_losses() -> None:
    students, _ = peers()
    losses = step(students, None, views(0), TARGETS, adam(students), **HARD_ONLY)
    assert losses.shape == (6,)
    assert torch.isnan(losses).tolist() == [column.startswith("so") for column in TERMS]
    assert not losses.requires_grad


def test_the_losses_are_those_of_the_networks_outputs_each_on_its_own_view() -> None:
    students, teachers = peers()
    teachers = [network(7), network(8)]
    batch = views(3)
    with torch.no_grad():
        outputs, taught = (
            [net(view) for net, view in zip(deepcopy(nets), batch, strict=True)] for nets in (students, teachers)
        )
        expected = mutual_loss(outputs, taught, TARGETS, **MUTUAL)
    losses = dict(zip(TERMS, step(students, teachers, batch, TARGETS, adam(students), **MUTUAL), strict=True))
    for name in TERMS[:5]:
        torch.testing.assert_close(losses[name], getattr(expected, name), rtol=1e-5, atol=1e-6)
    weighted = 0.5 * (losses["hard_ce"] + losses["soft_ce"]) + 0.2 * losses["hard_tri"] + 0.8 * losses["soft_tri"]
    torch.testing.assert_close(losses["total"], weighted)


def test_only_the_peers_teacher_teaches() -> None:
    # with soft losses alone, student 1 must feel a change of teacher 2 and none of teacher 1
    only_soft: dict[str, Any] = {"soft_ce_weight": 1.0, "soft_tri_weight": 1.0, "label_smoothing": 0.1}

    def after(changed: int | None) -> dict[str, Tensor]:
        students, teachers = peers()
        if changed is not None:
            teachers[changed] = network(50)
        step(students, teachers, views(0), TARGETS, adam(students), **only_soft)
        return dict(students[0].named_parameters())

    plain, own, other = after(None), after(0), after(1)
    assert all(torch.equal(plain[name], own[name]) for name in plain)
    assert not torch.equal(plain["classifier.weight"], other["classifier.weight"])


def test_hard_losses_alone_leave_the_students_independent() -> None:
    def second_student(first_view: Tensor) -> dict[str, Tensor]:
        students, _ = peers()
        step(students, None, [first_view, views(0)[1]], TARGETS, adam(students), **HARD_ONLY)
        return state(students[1])

    assert same(second_student(views(0)[0]), second_student(views(1)[0]))


def test_every_trained_parameter_of_every_student_moves_and_the_frozen_bias_does_not() -> None:
    students, teachers = peers()
    before = [dict(state(student)) for student in students]
    optimizer = adam(students)
    for iteration in range(2):
        step(students, teachers, views(iteration), TARGETS, optimizer, **MUTUAL)
    for student, old in zip(students, before, strict=True):
        for name, parameter in student.named_parameters():
            assert torch.equal(parameter, old[name]) == (name == "neck.bias"), name
        assert torch.equal(student.neck.bias, torch.zeros(512))


def test_teachers_move_by_their_batch_statistics_only_and_get_no_gradient() -> None:
    students, teachers = peers()
    before = [state(teacher) for teacher in teachers]
    step(students, teachers, views(0), TARGETS, adam(students), **MUTUAL)
    for teacher, old in zip(teachers, before, strict=True):
        parameters = dict(teacher.named_parameters())
        for name, tensor in teacher.state_dict().items():
            assert torch.equal(tensor, old[name]) == (name in parameters), name
        assert all(parameter.grad is None for parameter in parameters.values())


def test_teachers_normalise_with_their_own_batch() -> None:
    # in evaluation mode the running statistics would decide; here they must not matter
    def losses(running_mean: float) -> Tensor:
        students, teachers = peers()
        for teacher in teachers:
            torch.nn.init.constant_(teacher.neck.running_mean, running_mean)  # type: ignore[arg-type]
        return step(students, teachers, views(0), TARGETS, adam(students), **MUTUAL)

    assert torch.equal(losses(0.0)[:5], losses(25.0)[:5])


def test_at_the_first_iteration_of_all_the_teacher_becomes_the_student() -> None:
    students, _ = peers()
    teachers = [network(30), network(31)]
    step(students, teachers, views(0), TARGETS, adam(students), **MUTUAL)
    for teacher, student in zip(teachers, students, strict=True):
        update_teacher(teacher, student, 0, alpha=0.999)
        for name, parameter in teacher.named_parameters():
            assert torch.equal(parameter, student.get_parameter(name)), name


def test_the_backbone_may_learn_at_a_share_of_the_rate() -> None:
    students, _ = peers()
    (whole, one), *none = shares_of_lr(students, 1.0)
    assert (one, none) == (1.0, [])
    assert len(whole) == sum(p.requires_grad for student in students for p in student.parameters())
    shares = {id(p): share for group, share in shares_of_lr(students, 0.2) for p in group}
    for student in students:
        for name, parameter in student.named_parameters():
            if parameter.requires_grad:
                assert shares[id(parameter)] == (0.2 if name.startswith("backbone.") else 1.0), name


def test_one_network_alone_can_be_trained() -> None:
    students, teachers = peers(1)
    before = state(students[0])
    losses = step(students, teachers, views(0, 1), TARGETS, adam(students), **MUTUAL)
    assert bool(losses[:5].isfinite().all())
    assert not same(state(students[0]), before)


def test_views_and_students_must_be_as_many() -> None:
    students, _ = peers()
    with pytest.raises(ValueError, match="zip"):
        step(students, None, views(0, 1), TARGETS, adam(students), **HARD_ONLY)


def test_a_network_made_for_training_has_the_centroids_as_classes() -> None:
    centroids = torch.zeros(4, 512)
    centroids[range(4), range(4)] = torch.tensor([2.0, 0.5, 1.0, -3.0])
    found = for_training(ReidNetwork("resnet18", 700).eval(), centroids)
    assert found.training
    assert found.classifier.weight.shape == (4, 512)
    assert found.classifier.weight[range(4), range(4)].tolist() == [1, 1, 1, -1]
    assert found.get_parameter("backbone.layer4.0.conv2.weight").is_contiguous(memory_format=torch.channels_last)


def test_the_same_iterations_give_the_same_bits() -> None:
    def run() -> list[dict[str, Tensor]]:
        students, teachers = peers()
        optimizer = adam(students)
        for iteration in range(2):
            step(students, teachers, views(iteration), TARGETS, optimizer, **MUTUAL)
            for teacher, student in zip(teachers, students, strict=True):
                update_teacher(teacher, student, iteration, 0.999)
        return [state(net) for net in (*students, *teachers)]

    assert all(same(ours, theirs) for ours, theirs in zip(run(), run(), strict=True))


# --- with batches of the source --------------------------------------------------------------------------------------


def test_the_source_adds_its_hard_losses_by_its_own_classes() -> None:
    targets = torch.tensor([0, 0, 1, 1, 0, 1])
    of_source = torch.zeros(4, dtype=torch.int64)  # classes 0 and 1 are clusters; the source has one identity, class 2
    students, teachers = peers()
    generator = torch.Generator().manual_seed(9)
    batch = [torch.cat([view, torch.randn(4, 3, 32, 16, generator=generator)]) for view in views(0)]
    with torch.no_grad():
        outputs = [net(view) for net, view in zip(deepcopy(students), batch, strict=True)]
    terms = [hard_losses(pooled[6:], logits[6:, 2:], of_source, 0.1) for pooled, logits in outputs]
    of_target = [(pooled[:6], logits[:6, :2]) for pooled, logits in outputs]
    expected = torch.stack([ce + tri for ce, tri in terms]).sum()
    mutual = mutual_loss(of_target, of_target, targets, **MUTUAL)  # teachers are still their students
    found = step(
        students, teachers, batch, targets, adam(students), of_source, clusters=2, source_weight=0.25, **MUTUAL
    )
    torch.testing.assert_close(found[5], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[0], mutual.total + 0.25 * expected, rtol=1e-5, atol=1e-6)


def test_finite_losses_pass_even_without_soft_ones() -> None:
    check_finite([torch.tensor([1.5, 1.0, torch.nan, 0.5, torch.nan, torch.nan])], "r01", 1e-3)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_is_one_line_with_iteration_and_rate(value: float) -> None:
    losses = torch.ones(5, 6)
    losses[2:, 0] = value
    with pytest.raises(InputError) as refused:
        check_finite(list(losses), "r01", 0.5)
    assert str(refused.value) == "r01: the loss is not finite from iteration 3: expected a lower lr than 0.5"
