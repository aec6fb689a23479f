"""The trainer through the contract of refineries is the trainer without it; a new method is one file."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam

from mutual.base.errors import InputError
from mutual.learning.adaptation import Round, for_training, shares_of_lr, step, terms_of
from mutual.learning.batches import Batch
from mutual.networks.reid import ReidNetwork
from mutual.refineries import contract
from mutual.refineries.contract import Refinery, Targets, find_refinery
from mutual.refineries.hard_labels import HardLabels
from mutual.refineries.mmt import MutualMeanTeaching
from tests.herd import SMALL
from tests.plain_iteration import PlainTrainer

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def networks(seed: int) -> list[ReidNetwork]:
    torch.manual_seed(seed)
    return [for_training(ReidNetwork(SMALL, 2), torch.randn(3, 256)) for _ in range(2)]


def batch(iteration: int) -> Batch:
    generator = torch.Generator().manual_seed(iteration)
    return Batch(torch.arange(6), Targets(LABELS), [torch.randn(6, 3, 32, 16, generator=generator) for _ in range(2)])


def same(ours: nn.Module, theirs: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))


def run(
    refinery: Refinery, students: list[ReidNetwork], teachers: list[ReidNetwork] | None, done: int = 0
) -> list[Tensor]:
    optimizer = Adam(shares_of_lr(students, 1e-3, 1.0), weight_decay=5e-4, fused=True)
    within = Round(2, 4, done, 3, 0.1)
    return [step(refinery, students, teachers, batch(i), None, optimizer, i, within) for i in range(4)]


@pytest.mark.parametrize(("alpha", "ce", "tri"), [(0.999, 0.5, 0.8), (0.5, 1.0, 0.0), (0.0, 0.3, 1.0), (0.9, 0.0, 0.0)])
@pytest.mark.parametrize("done", [0, 700])
def test_mutual_mean_teaching_is_bit_by_bit_the_plain_trainer(alpha: float, ce: float, tri: float, done: int) -> None:
    students, teachers = networks(1), networks(2)
    theirs = PlainTrainer(deepcopy(students), deepcopy(teachers), 1e-3, 5e-4)
    losses = run(MutualMeanTeaching(alpha, ce, tri, 0.1), students, teachers, done)
    for i, found in enumerate(losses):
        expected = theirs.iterate(batch(i).views, LABELS, done + i, alpha=alpha, ce=ce, tri=tri)
        assert torch.equal(found, torch.stack(expected))
    for ours, other in zip([*students, *teachers], [*theirs.students, *theirs.teachers], strict=True):
        assert same(ours, other)


def test_the_baselines_are_mutual_mean_teaching_with_nothing_to_teach() -> None:
    mmt, hard = MutualMeanTeaching(0.0, 0.0, 0.0, 0.1), HardLabels(1.0, 0.1)
    assert not mmt.teaching
    assert not hard.teaching
    ours, theirs = networks(1), networks(1)
    found = zip(run(mmt, ours, None), run(hard, theirs, None), strict=True)
    assert all(torch.equal(a[[0, 1, 3]], b) for a, b in found)
    assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))


TOY = '''"""A toy: cross entropy, of the images that are most certain, and it counts how often each was seen."""

import torch
from torch.nn import functional as F

from mutual.refineries.contract import Refinery


class Toy(Refinery):
    keys = ("alpha",)
    terms = ("certain",)
    teaching = True

    def __init__(self, alpha):
        self.alpha, self.seen = alpha, torch.zeros(6)

    def loss(self, step):
        self.seen[step.rows] += 1
        losses = []
        for student, teacher in zip(step.students, step.teachers):
            certain = teacher.logits.softmax(1).amax(1) >= self.alpha
            ce = F.cross_entropy(student.logits, step.targets.labels, reduction="none")
            losses.append((certain * ce).mean())
        return {"total": sum(losses), "certain": sum(losses)}

    def after_step(self, students, teachers, done):
        for teacher, student in zip(teachers, students):
            teacher.load_state_dict(student.state_dict())

    def state(self):
        return {"seen": self.seen}

    def load_state(self, state):
        self.seen = state.get("seen", self.seen)

    @classmethod
    def title(cls, params):
        return f"certain above {params['alpha']}"
'''


def test_a_new_refinery_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TOY.count("\n") < 40
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr("mutual.refineries.__path__", [str(tmp_path), *contract_path()])
    method, settings = find_refinery("toy"), dict.fromkeys(("alpha",), 0.0)
    toy = method(**settings)
    students, teachers = networks(1), networks(2)
    losses = run(toy, students, teachers)
    assert terms_of(toy, 0.0) == ("total", "certain")
    assert all(bool((row > 0).all()) for row in losses)
    assert all(same(student, teacher) for student, teacher in zip(students, teachers, strict=True))
    assert toy.state()["seen"].tolist() == [4] * 6
    again = method(**settings)
    again.load_state(toy.state())
    assert again.state()["seen"].tolist() == [4] * 6
    assert method.title({"alpha": 0.5}) == "certain above 0.5"


def contract_path() -> list[str]:
    return [str(Path(contract.__file__).parent)]


@pytest.mark.parametrize("name", ["contract", "losses", "nothing", "a.b", "../mmt"])
def test_other_names_are_refused_in_a_line(name: str) -> None:
    with pytest.raises(InputError, match=f"method: {name}"):
        find_refinery(name)


def test_every_refinery_names_itself() -> None:
    params = {"alpha": 0.9, "soft_ce_weight": 0.5, "soft_tri_weight": 0.8, "seeds": [1, 2]}
    assert find_refinery("mmt").title(params) == "MMT"
    assert find_refinery("mmt").title(params | {"soft_tri_weight": 0}) == "MMT without soft triplet"
    assert find_refinery("hard_labels").title(params) == "two networks, hard labels"
    assert find_refinery("hard_labels").title(params | {"seeds": [1]}) == "one network, hard labels"


def test_what_the_round_before_handed_on_must_be_wanted() -> None:
    HardLabels(1.0, 0.1).load_state({})
    with pytest.raises(InputError, match="handed on seen, which HardLabels cannot use"):
        HardLabels(1.0, 0.1).load_state({"seen": torch.zeros(2)})
