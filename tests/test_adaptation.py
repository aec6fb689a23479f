"""One iteration of a round, and the round's loop."""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from mutual.base.errors import InputError
from mutual.learning.adaptation import Round, adapt, check_finite, for_training, shares_of_lr, step, terms_of
from mutual.learning.batches import Batch
from mutual.machine.streams import integer_seed
from mutual.networks.reid import ReidNetwork
from mutual.refineries.contract import Output, Refinery, Step, Targets
from mutual.refineries.losses import hard_losses
from mutual.refineries.mmt import MutualMeanTeaching
from tests.herd import SMALL

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
CLASSES = 3
HARD_ONLY = MutualMeanTeaching(alpha=0.0, soft_ce_weight=0.0, soft_tri_weight=0.0, label_smoothing=0.1)
MUTUAL = MutualMeanTeaching(alpha=0.999, soft_ce_weight=0.5, soft_tri_weight=0.8, label_smoothing=0.1)
ROUND = Round(number=2, iterations=4, done=0, clusters=CLASSES, label_smoothing=0.1)
TERMS = terms_of(MUTUAL, source_weight=0.0)


def network(seed: int, dropout: float = 0.0) -> ReidNetwork:
    torch.manual_seed(seed)
    return for_training(ReidNetwork(SMALL, 2, dropout=dropout), torch.randn(CLASSES, 256))


def peers(count: int = 2, dropout: float = 0.0) -> tuple[list[ReidNetwork], list[ReidNetwork]]:
    """Students, and teachers that are their copies."""
    students = [network(seed, dropout) for seed in range(count)]
    return students, deepcopy(students)


def adam(students: list[ReidNetwork], lr: float = 1e-3) -> Adam:
    return Adam(shares_of_lr(students, lr, 1.0), weight_decay=5e-4, fused=True)


def views(iteration: int, count: int = 2, images: int = len(LABELS)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(iteration)
    return [torch.randn(images, 3, 32, 16, generator=generator) for _ in range(count)]


def batch(iteration: int, count: int = 2, targets: Targets | None = None) -> Batch:
    return Batch(torch.arange(len(LABELS)), targets or Targets(LABELS), views(iteration, count))


def iterate(
    refinery: Refinery,
    students: list[ReidNetwork],
    teachers: list[ReidNetwork] | None,
    of: Batch,
    optimizer: Optimizer | None = None,
    iteration: int = 0,
) -> Tensor:
    """A step of the round without the source."""
    return step(refinery, students, teachers, of, None, optimizer or adam(students), iteration, ROUND)


def losses_of(
    students: Sequence[tuple[Tensor, Tensor]], teachers: Sequence[tuple[Tensor, Tensor]], targets: Targets
) -> dict[str, Tensor]:
    """Those of mutual mean-teaching for what the networks said."""
    said, taught = ([Output(*each) for each in side] for side in (students, teachers))
    return MUTUAL.loss(Step(2, 0, 4, 0, torch.arange(len(targets.labels)), targets, said, taught))


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_without_soft_losses_and_memory_skipping_the_teachers_changes_nothing() -> None:
    # a round then writes the student in the teacher's place: parameters and batch statistics must be the same
    alone, _ = peers()
    beside, teachers = peers()
    optimizers = adam(alone), adam(beside)
    for i in range(3):
        first = iterate(HARD_ONLY, alone, None, batch(i), optimizers[0], i)
        second = iterate(HARD_ONLY, beside, teachers, batch(i), optimizers[1], i)
        assert torch.equal(first[[0, 1, 3]], second[[0, 1, 3]])
    for student, other, teacher in zip(alone, beside, teachers, strict=True):
        assert same(state(student), state(other))
        assert same(state(student), state(teacher))


@pytest.mark.parametrize("source_weight", [0.0, 0.5])
def test_an_iteration_without_teachers_reports_no_soft_losses(source_weight: float) -> None:
    # nor the source's, where it takes part in the round and has no batch
    students, _ = peers()
    within = Round(2, 4, 0, CLASSES, 0.1, source_weight)
    losses = step(HARD_ONLY, students, None, batch(0), None, adam(students), 0, within)
    columns = terms_of(HARD_ONLY, source_weight)
    assert len(columns) == (6 if source_weight else 5)
    assert losses.shape == (len(columns),)
    assert torch.isnan(losses).tolist() == [column.startswith("so") for column in columns]
    assert not losses.requires_grad


BELIEFS = {
    "labels": Targets(LABELS),
    "weights": Targets(LABELS, torch.tensor([1.0, 0.5, 0.0, 2.0, 1.5, 0.25])),
    "soft labels": Targets(LABELS, soft=torch.tensor([[0.75, 0.25, 0.0]]).repeat(6, 1)),
}


@pytest.mark.parametrize("kind", list(BELIEFS))
def test_the_losses_are_those_of_the_networks_outputs_each_on_its_own_view(kind: str) -> None:
    students, _ = peers()
    teachers = [network(7), network(8)]
    of = batch(3, targets=BELIEFS[kind])
    with torch.no_grad():
        outputs, taught = (
            [net(view) for net, view in zip(deepcopy(nets), of.views, strict=True)] for nets in (students, teachers)
        )
        expected = losses_of(outputs, taught, BELIEFS[kind])
    losses = dict(zip(TERMS, iterate(MUTUAL, students, teachers, of), strict=True))
    for name in TERMS:
        torch.testing.assert_close(losses[name], expected[name], rtol=1e-5, atol=1e-6)
    weighted = 0.5 * (losses["hard_ce"] + losses["soft_ce"]) + 0.2 * losses["hard_tri"] + 0.8 * losses["soft_tri"]
    torch.testing.assert_close(losses["total"], weighted)


def test_weights_and_soft_labels_reach_the_hard_losses_alone() -> None:
    def found(kind: str) -> dict[str, float]:
        students, teachers = peers()
        return dict(
            zip(TERMS, iterate(MUTUAL, students, teachers, batch(0, targets=BELIEFS[kind])).tolist(), strict=True)
        )

    plain, weighted, soft = found("labels"), found("weights"), found("soft labels")
    assert weighted["hard_ce"] != plain["hard_ce"] != soft["hard_ce"]
    assert weighted["hard_tri"] != plain["hard_tri"] == soft["hard_tri"]
    for term in ("soft_ce", "soft_tri"):
        assert weighted[term] == plain[term] == soft[term]


def test_only_the_peers_teacher_teaches() -> None:
    # with soft losses alone, student 1 must feel a change of teacher 2 and none of teacher 1
    only_soft = MutualMeanTeaching(0.999, 1.0, 1.0, 0.1)

    def after(changed: int | None) -> dict[str, Tensor]:
        students, teachers = peers()
        if changed is not None:
            teachers[changed] = network(50)
        iterate(only_soft, students, teachers, batch(0))
        return dict(students[0].named_parameters())

    plain, own, other = after(None), after(0), after(1)
    assert all(torch.equal(plain[name], own[name]) for name in plain)
    assert not torch.equal(plain["classifier.weight"], other["classifier.weight"])


def test_hard_losses_alone_leave_the_students_independent() -> None:
    def second_student(first_view: Tensor) -> dict[str, Tensor]:
        students, _ = peers()
        iterate(HARD_ONLY, students, None, Batch(torch.arange(6), Targets(LABELS), [first_view, views(0)[1]]))
        return state(students[1])

    assert same(second_student(views(0)[0]), second_student(views(1)[0]))


def test_every_trained_parameter_of_every_student_moves_and_the_frozen_bias_does_not() -> None:
    students, teachers = peers()
    before = [dict(state(student)) for student in students]
    optimizer = adam(students)
    for i in range(2):
        iterate(MUTUAL, students, teachers, batch(i), optimizer, i)
    for student, old in zip(students, before, strict=True):
        for name, parameter in student.named_parameters():
            assert torch.equal(parameter, old[name]) == (name == "neck.bias"), name
        assert torch.equal(student.neck.bias, torch.zeros(256))


class WithoutAverages(MutualMeanTeaching):
    """Mutual mean-teaching whose teachers' parameters stay as they are."""

    def after_step(
        self, students: Sequence[ReidNetwork], teachers: Sequence[ReidNetwork] | None, done: int
    ) -> None: ...


def test_teachers_move_by_their_batch_statistics_only_and_get_no_gradient() -> None:
    # until the step is over: the refinery alone moves their parameters
    students, teachers = peers()
    before = [state(teacher) for teacher in teachers]
    iterate(WithoutAverages(0.999, 0.5, 0.8, 0.1), students, teachers, batch(0))
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
        return iterate(MUTUAL, students, teachers, batch(0))

    assert torch.equal(losses(0.0), losses(25.0))


def test_at_the_first_iteration_of_all_the_teacher_becomes_the_student() -> None:
    students, _ = peers()
    teachers = [network(30), network(31)]
    iterate(MUTUAL, students, teachers, batch(0))
    for teacher, student in zip(teachers, students, strict=True):
        for name, parameter in teacher.named_parameters():
            assert torch.equal(parameter, student.get_parameter(name)), name


def test_the_teachers_average_goes_on_from_round_to_round() -> None:
    # iteration 3 after 80 of the rounds before: the 84th student counts 1 / 84
    students, _ = peers(1)
    teachers = [network(30)]
    before = state(teachers[0])
    step(MUTUAL, students, teachers, batch(0, 1), None, adam(students), 3, Round(3, 40, 80, CLASSES, 0.1))
    for name, parameter in teachers[0].named_parameters():
        expected = before[name].double() * 83 / 84 + students[0].get_parameter(name).double() / 84
        torch.testing.assert_close(parameter.double(), expected, rtol=1e-5, atol=1e-7)


def test_the_backbone_may_learn_at_a_share_of_the_rate() -> None:
    students, _ = peers()
    whole, *none = shares_of_lr(students, 0.01, 1.0)
    assert (whole["lr"], none) == (0.01, [])
    assert len(whole["params"]) == sum(p.requires_grad for student in students for p in student.parameters())
    groups = shares_of_lr(students, 0.01, 0.2)
    assert len(groups) == 2
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    for student in students:
        for name, parameter in student.named_parameters():
            if parameter.requires_grad:
                assert rates[id(parameter)] == (0.01 * 0.2 if name.startswith("backbone.") else 0.01), name
    assert len(rates) == len(whole["params"])


def test_one_network_alone_can_be_trained() -> None:
    students, teachers = peers(1)
    before = state(students[0])
    losses = iterate(MUTUAL, students, teachers, batch(0, 1))
    assert bool(losses.isfinite().all())
    assert not same(state(students[0]), before)


def test_views_and_students_must_be_as_many() -> None:
    students, teachers = peers()
    for taught in (None, teachers):
        with pytest.raises(ValueError, match="zip"):
            iterate(HARD_ONLY, students, taught, batch(0, 1))


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
        for i in range(2):
            iterate(MUTUAL, students, teachers, batch(i), optimizer, i)
        return [state(net) for net in (*students, *teachers)]

    assert all(same(ours, theirs) for ours, theirs in zip(run(), run(), strict=True))


# --- what a refinery is told -----------------------------------------------------------------------------------------


class Listener(Refinery):
    """Hard losses of the first student, and a memory of all that was asked of it."""

    terms = ("hard_ce", "never")
    teaching = True

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.after: list[int] = []

    def loss(self, step: Step) -> dict[str, Tensor]:
        self.steps.append(step)
        ce, tri = hard_losses(*step.students[0], step.targets, 0.1)
        return {"total": ce + tri, "hard_ce": ce}

    def after_step(self, students: Sequence[ReidNetwork], teachers: Sequence[ReidNetwork] | None, done: int) -> None:
        self.after.append(done)

    @classmethod
    def title(cls, params: object) -> str:
        return "listener"


def source_batch(count: int = 4) -> Batch:
    """Of the one identity of the source."""
    return Batch(torch.arange(count), Targets(torch.zeros(count, dtype=torch.int64)), views(9, images=count))


def test_a_refinery_sees_where_it_is_and_the_target_alone() -> None:
    listener, (students, teachers) = Listener(), peers()
    targets = Targets(LABELS % 2, torch.ones(6), torch.full((6, 2), 0.5))
    of = Batch(torch.tensor([8, 9, 3, 1, 0, 7]), targets, views(0))
    within = Round(number=5, iterations=40, done=160, clusters=2, label_smoothing=0.1, source_weight=0.25)
    losses = step(listener, students, teachers, of, source_batch(), adam(students), 11, within)
    (told,) = listener.steps
    assert (told.round_number, told.iteration, told.iterations, told.done) == (5, 11, 40, 171)
    assert told.rows is of.rows
    assert told.targets is targets
    assert told.teachers is not None
    for output in (*told.students, *told.teachers):
        assert (output.pooled.shape, output.logits.shape) == ((6, 256), (6, 2))
    assert all(output.logits.requires_grad and output.pooled.requires_grad for output in told.students)
    assert not any(output.logits.requires_grad or output.pooled.requires_grad for output in told.teachers)
    assert listener.after == [171]
    assert terms_of(listener, 0.25) == ("total", "hard_ce", "never", "source")
    assert torch.isnan(losses).tolist() == [False, False, True, False]


# --- with batches of the source --------------------------------------------------------------------------------------


def test_the_source_adds_its_hard_losses_by_its_own_classes() -> None:
    targets = Targets(torch.tensor([0, 0, 1, 1, 0, 1]))  # classes 0 and 1 are clusters; the source's is class 2
    students, teachers = peers()
    of, source = Batch(torch.arange(6), targets, views(0)), source_batch()
    both = [torch.cat(pair) for pair in zip(of.views, source.views, strict=True)]
    with torch.no_grad():
        outputs = [net(view) for net, view in zip(deepcopy(students), both, strict=True)]
    terms = [hard_losses(pooled[6:], logits[6:, 2:], source.targets, 0.1) for pooled, logits in outputs]
    of_target = [(pooled[:6], logits[:6, :2]) for pooled, logits in outputs]
    expected = torch.stack([ce + tri for ce, tri in terms]).sum()
    mutual = losses_of(of_target, of_target, targets)  # teachers are still their students
    within = Round(2, 4, 0, clusters=2, label_smoothing=0.1, source_weight=0.25)
    found = step(MUTUAL, students, teachers, of, source, adam(students), 0, within)
    assert terms_of(MUTUAL, 0.25)[5] == "source"
    torch.testing.assert_close(found[5], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[0], mutual["total"] + 0.25 * expected, rtol=1e-5, atol=1e-6)


def test_the_sources_smoothing_is_the_rounds() -> None:
    def source_term(smoothing: float) -> float:
        students, _ = peers()
        identities = Targets(torch.tensor([0, 0, 1, 1]))
        source = Batch(torch.arange(4), identities, views(9, images=4))
        within = Round(2, 4, 0, 1, smoothing, 0.25)
        of = Batch(torch.arange(6), Targets(torch.zeros(6, dtype=torch.int64)), views(0))
        return float(step(HARD_ONLY, students, None, of, source, adam(students), 0, within)[5])

    assert source_term(0.0) != pytest.approx(source_term(0.5), rel=1e-3)


# --- the loop --------------------------------------------------------------------------------------------------------


def test_a_round_asks_for_the_batches_of_its_iterations_one_by_one() -> None:
    asked: list[tuple[str, int]] = []

    def batch_at(i: int) -> Batch:
        asked.append(("target", i))
        return Batch(torch.arange(6), Targets(LABELS % 2), views(i, 1))

    def source_at(i: int) -> Batch:
        asked.append(("source", i))
        return Batch(torch.arange(4), Targets(torch.zeros(4, dtype=torch.int64)), views(9, 1, 4))

    def dropout_seed(i: int) -> int:
        asked.append(("dropout", i))
        return i

    (student,), _ = peers(1)
    listener, within = Listener(), Round(2, 3, 80, 2, 0.1, 0.5)
    rows = [*adapt(listener, [student], None, batch_at, source_at, adam([student]), within, dropout_seed)]
    assert [row.shape for row in rows] == [(4,)] * 3
    assert [(told.iteration, told.done, told.teachers) for told in listener.steps] == [
        (0, 80, None),
        (1, 81, None),
        (2, 82, None),
    ]
    for kind in ("target", "source", "dropout"):
        assert [i for what, i in asked if what == kind] == [0, 1, 2]


def test_a_round_is_its_steps() -> None:
    students, teachers = peers()
    rows = [*adapt(MUTUAL, students, teachers, batch, None, adam(students), ROUND, int)]
    others, taught = peers()
    optimizer = adam(others)
    for i, row in enumerate(rows):
        assert torch.equal(row, iterate(MUTUAL, others, taught, batch(i), optimizer, i))
    assert len(rows) == ROUND.iterations
    for ours, theirs in zip([*students, *teachers], [*others, *taught], strict=True):
        assert same(state(ours), state(theirs))


def test_an_iteration_with_dropout_can_be_run_again_alone() -> None:
    dropout_seed = partial(integer_seed, 1, "dropout", 2)
    within = Round(2, 6, 0, CLASSES, 0.1)
    students, teachers = peers(1, dropout=0.5)
    optimizer = adam(students)
    torch.manual_seed(0)
    steps = adapt(MUTUAL, students, teachers, partial(batch, count=1), None, optimizer, within, dropout_seed)
    for _ in range(5):
        next(steps)
    before, remembered = [state(net) for net in (*students, *teachers)], deepcopy(optimizer.state_dict())
    expected, after = next(steps), [state(net) for net in (*students, *teachers)]

    def again(seed: int) -> tuple[Tensor, list[dict[str, Tensor]]]:
        ours, taught = peers(1, dropout=0.5)
        for net, old in zip((*ours, *taught), before, strict=True):
            net.load_state_dict(old)
        fresh = adam(ours)
        fresh.load_state_dict(deepcopy(remembered))
        torch.manual_seed(seed)
        losses = step(MUTUAL, ours, taught, batch(5, 1), None, fresh, 5, within)
        return losses, [state(net) for net in (*ours, *taught)]

    losses, found = again(dropout_seed(5))
    assert torch.equal(losses, expected)
    assert all(same(ours, theirs) for ours, theirs in zip(found, after, strict=True))
    assert not torch.equal(again(dropout_seed(4))[0], expected)  # the numbers do matter


# --- losses that are not finite --------------------------------------------------------------------------------------


def test_finite_losses_pass_even_without_soft_ones() -> None:
    check_finite([torch.tensor([1.5, 1.0, torch.nan, 0.5, torch.nan, torch.nan])], "r01", 1e-3)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_is_one_line_with_iteration_and_rate(value: float) -> None:
    losses = torch.ones(5, 6)
    losses[2:, 0] = value
    with pytest.raises(InputError) as refused:
        check_finite(list(losses), "r01", 0.5)
    assert str(refused.value) == "r01: the loss is not finite from iteration 3: expected a lower lr than 0.5"
