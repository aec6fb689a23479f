"""What a round hands to the next, on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mutual.base.errors import InputError
from mutual.learning.handover import KEY, NAME, Handover, read_handover, write_handover

STATE = {
    "memory.features": torch.randn(7, 3, generator=torch.Generator().manual_seed(0)),
    "seen": torch.tensor([3, 0, -1]),
    "special": torch.tensor([torch.nan, torch.inf, -0.0, 1e-45]),
    "flags": torch.tensor([True, False]),
    "single": torch.tensor(2.5, dtype=torch.float64),
}


def test_pre_trained_peers_hand_on_nothing(tmp_path: Path) -> None:
    assert read_handover(tmp_path) == Handover(eps=None, state={})


@pytest.mark.parametrize("eps", [None, 0.6123456789012345, 5e-324, 2.0])
def test_what_is_handed_on_comes_back_to_the_bit(tmp_path: Path, eps: float | None) -> None:
    write_handover(tmp_path / "r01", Handover(eps, STATE))
    assert [path.name for path in (tmp_path / "r01").iterdir()] == [NAME]
    found = read_handover(tmp_path / "r01")
    assert found.eps == eps
    assert sorted(found.state) == sorted(STATE)
    for name, tensor in STATE.items():
        assert found.state[name].dtype == tensor.dtype
        assert found.state[name].shape == tensor.shape
        assert found.state[name].numpy().tobytes() == tensor.numpy().tobytes()


def test_a_refinery_without_state_hands_on_eps_alone(tmp_path: Path) -> None:
    write_handover(tmp_path, Handover(0.6))
    assert read_handover(tmp_path) == Handover(0.6, {})


def test_tensors_in_another_memory_order_and_with_gradients_are_written(tmp_path: Path) -> None:
    turned = torch.arange(6.0).reshape(2, 3).T.requires_grad_()
    write_handover(tmp_path, Handover(None, {"turned": turned}))
    found = read_handover(tmp_path).state["turned"]
    assert found.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert not found.requires_grad


def test_a_state_may_share_its_memory(tmp_path: Path) -> None:
    memory = torch.arange(6.0).reshape(3, 2)
    write_handover(tmp_path, Handover(None, {"all": memory, "again": memory, "tail": memory[1:]}))
    found = read_handover(tmp_path).state
    assert found["all"].tolist() == found["again"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert found["tail"].tolist() == [[2, 3], [4, 5]]


def test_the_same_is_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    for name, state in (("a", STATE), ("b", dict(reversed(STATE.items()))), ("c", STATE | {"seen": torch.zeros(3)})):
        write_handover(tmp_path / name, Handover(0.6, state))
    first, second, other = ((tmp_path / name / NAME).read_bytes() for name in "abc")
    assert first == second
    assert first != other


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        read_handover(folder)
    message = str(refused.value)
    assert message.startswith(f"{folder / NAME}: expected ")
    assert "\n" not in message
    assert len(message) < 300 + len(str(folder))
    return message


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    write_handover(tmp_path, Handover(0.6, STATE))
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[: int(share * len(whole))])
    assert "expected a whole safetensors file" in refusal(tmp_path)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"other": "1"},
        *({KEY: text} for text in ("", "0.6", "[]", "null", "{}", '"eps"', '{"eps": 0.6', "[" * 100_000)),
    ],
    ids=["none", "another", "empty", "number", "list", "null", "no eps", "text", "cut off", "deep"],
)
def test_metadata_of_something_else_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file(STATE, tmp_path / NAME, metadata=metadata)
    assert "with eps in its metadata" in refusal(tmp_path)


@pytest.mark.parametrize(
    "eps", ["0.0", "-0.1", "2.1", "NaN", "Infinity", '"0.6"', "true", "[0.6]", f'"{"x" * 5000}"', "1" * 5000]
)
def test_an_eps_that_no_round_hands_on_is_refused(tmp_path: Path, eps: str) -> None:
    save_file(STATE, tmp_path / NAME, metadata={KEY: f'{{"eps": {eps}}}'})
    assert "eps" in refusal(tmp_path)


def test_labels_come_back_beside_a_state_of_the_same_name(tmp_path: Path) -> None:
    labels = np.array([3, -1, 0])
    write_handover(tmp_path, Handover(0.6, {"labels": torch.ones(2)}, labels))
    found = read_handover(tmp_path)
    assert found.labels is not None
    assert found.labels.tolist() == [3, -1, 0]
    assert found.state["labels"].tolist() == [1, 1]


@pytest.mark.parametrize("wrong", [torch.tensor([0.0]), torch.tensor([[1]]), torch.tensor([-2])])
def test_labels_that_are_none_are_refused(tmp_path: Path, wrong: torch.Tensor) -> None:
    save_file({"labels": wrong}, tmp_path / NAME, metadata={KEY: '{"eps": null}'})
    with pytest.raises(InputError, match="expected labels"):
        read_handover(tmp_path)
