"""Backbones of timm: what comes out of them, how they are trained and written, and where their weights come from."""

import ast
import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor

from mutual.elsewhere.initial import initial_network, load_initial_backbone
from mutual.evaluation.features import extract
from mutual.images.index import Index
from mutual.images.normalisation import IMAGENET, Normalisation, normalise
from mutual.images.views import training_views
from mutual.learning.adaptation import Round, adapt, ready, shares_of_lr, trained_by
from mutual.learning.batches import Batch, Cut, Streams
from mutual.learning.pretraining import Plan, Pretraining, batches_of
from mutual.networks.norms import PartBatchNorm, in_parts
from mutual.networks.peers import (
    Peer,
    adopted,
    normalisation_of,
    peer_path,
    read_network,
    read_peer,
    write_peer,
)
from mutual.networks.reid import ReidNetwork, inference
from mutual.refineries.contract import Targets
from mutual.refineries.mmt import MutualMeanTeaching
from tests.snippets import blocks
from tests.tiny import assert_same_bits, refusal

TOP = Path(__file__).parent.parent
CPU = torch.device("cpu")
SIZE = (64, 32)
HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# convolutions; patches and a class token; patches and a register, a norm after their mean; a norm after the map's mean
NETWORKS = {"test_resnet": 96, "test_vit": 64, "test_vit2": 64, "test_convnext": 64}
FORM: dict[str, Any] = {"stem_relu": False, "dropout": 0.0, "pooling": "avg", "precision": "fp32"}


def small(name: str, size: tuple[int, int] = SIZE, **settings: Any) -> ReidNetwork:
    torch.manual_seed(0)
    return ReidNetwork(f"timm/{name}", 3, size=size, **settings)


def theirs(name: str, size: tuple[int, int] = SIZE, **settings: Any) -> Any:
    sized = {"img_size": size} if "vit" in name else {}
    return timm.create_model(name, **{"num_classes": 0} | sized | settings)


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), np.uint8)


def views(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def features(network: ReidNetwork) -> np.ndarray:
    return extract(inference(deepcopy(network)), pixels(3), CPU, "test")


# --- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_pooled_features_are_those_of_timms_network_without_a_classifier(name: str) -> None:
    settings: dict[str, Any] = {"global_pool": "avg", "fc_norm": False} if name == "test_vit" else {}
    ours, other = small(name).eval(), theirs(name, **settings)
    other.load_state_dict(ours.backbone.model.state_dict())  # type: ignore[union-attr]
    with torch.inference_mode():
        pooled, logits = ours(views(2))
        torch.testing.assert_close(pooled, other.eval()(views(2)), rtol=1e-4, atol=1e-5)
        assert pooled.shape == (2, NETWORKS[name])
        assert logits.shape == (2, 3)
        torch.testing.assert_close(ours.embed(views(2)).norm(dim=1), torch.ones(2))


def test_of_a_transformer_the_mean_of_the_patches_or_the_class_token_by_hand() -> None:
    mean, token = small("test_vit").eval(), small("test_vit", pooling="cls").eval()
    with torch.inference_mode():
        tokens = mean.backbone.model.forward_features(views(2))  # type: ignore[union-attr, operator]
        assert tokens.shape == (2, 1 + 4 * 2, 64)  # the class token, and patches of 16 x 16
        torch.testing.assert_close(mean.pool(views(2)), tokens[:, 1:].sum(1) / 8)
        torch.testing.assert_close(token.pool(views(2)), tokens[:, 0])


def test_a_map_whose_channels_come_last_is_turned() -> None:
    with torch.device("meta"):
        network = ReidNetwork("timm/swin_tiny_patch4_window7_224", 2, size=(256, 128))
        assert network.backbone(torch.zeros(2, 3, 256, 128)).shape == (2, 768, 8, 4)


def test_the_generalised_mean_of_a_feature_map() -> None:
    network = small("test_resnet", pooling="gem").eval()
    with torch.inference_mode():
        feature_map = network.backbone(views(2))
        assert feature_map.shape == (2, 96, 2, 1)
        expected = (feature_map.clamp(min=1e-6) ** 3).mean((2, 3)) ** (1 / 3)
        torch.testing.assert_close(network.pool(views(2)), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_inference_network_gives_the_same_features(name: str) -> None:
    network = small(name).train()
    network(views(4))  # statistics that are not those of a new network
    with torch.no_grad():
        expected = network.eval().embed(views(2))
        torch.testing.assert_close(inference(network).embed(views(2)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_bfloat16_runs_where_a_processor_is_sound(name: str) -> None:
    wide = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network, half = small(name, (64, 64)).eval(), small(name, (64, 64), precision="bf16").eval()
    with torch.no_grad():
        plain, pooled = network.pool(wide), half.pool(wide)
        assert pooled.dtype == torch.float32
        assert not torch.equal(plain, pooled)
        assert float((pooled - plain).abs().max() / plain.abs().max()) < 0.1
    # of a map one column wide a convolution of stride 2 is none; patches have no such thing
    assert small(name).columns == {"test_resnet": 64, "test_vit": 32}[name]


# --- mean and std ----------------------------------------------------------------------------------------------------


def test_images_are_normalised_as_the_network_expects() -> None:
    network = small("test_vit")
    assert network.normalisation == HALF
    assert small("vit_tiny_patch16_224.augreg_in21k").normalisation == HALF
    assert small("resnet10t").normalisation == IMAGENET == ReidNetwork("resnet18", 2).normalisation
    by_hand = torch.from_numpy(pixels(3)).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        expected = deepcopy(network).eval().embed(by_hand).numpy()
    np.testing.assert_allclose(features(network), expected, rtol=1e-4, atol=1e-5)


def test_training_views_are_too_and_what_is_erased_is_the_networks_mean() -> None:
    rng = lambda: np.random.default_rng(1)  # noqa: E731
    found = training_views(pixels(8), rng(), padding=0, flip=False, erase_probability=1.0, normalisation=HALF)
    plain = torch.from_numpy(pixels(8)).permute(0, 3, 1, 2) / 127.5 - 1
    erased = (found - plain).abs() > 1e-5
    assert 0.01 < float(erased.float().mean()) < 0.5
    assert bool((found[erased] == 0.5).all())
    torch.testing.assert_close(normalise(torch.from_numpy(pixels(8)), HALF), plain)


# --- trained and written ---------------------------------------------------------------------------------------------


def labelled(count: int = 8) -> Index:
    return Index([f"{i}.jpg" for i in range(count)], np.arange(count) // 2, np.arange(count) % 2)


@pytest.mark.parametrize(("name", "pooling"), [("test_resnet", "avg"), ("test_vit", "cls")])
def test_pretraining_a_round_and_a_file_that_opens_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, pooling: str
) -> None:
    form = FORM | {"backbone": f"timm/{name}", "pooling": pooling}
    cut = Cut(4, 2, 2, CPU, normalisation=HALF)
    plan = Plan(1, 2, 1e-3, 0, (), 1, 0.1, 5e-4)
    paths = [peer_path(tmp_path / "r00", seed) for seed in (1, 2)]
    for seed, path in enumerate(paths, start=1):
        network = initial_network(form, 4, "none", seed, SIZE)
        before = deepcopy(network.state_dict())
        source_at, target_at = batches_of(pixels(8), labelled(), pixels(8, 1), Streams(seed), cut)
        going = Pretraining(network, source_at, target_at, plan, lambda network: 0.5, lambda i: i)
        assert len([epoch for epoch in going.left() if epoch is not None]) == 1
        best = going.best
        moved = [key for key, tensor in best.state_dict().items() if not torch.equal(tensor, before[key])]
        assert len(moved) > 0.9 * len(before) - 1
        write_peer(
            path, best, best, Peer(form, 4, *SIZE, mean=network.normalisation.mean, std=network.normalisation.std)
        )
        assert (read_peer(path).mean, read_peer(path).std) == ([0.5] * 3, [0.5] * 3)
    assert normalisation_of(paths) == ([0.5] * 3, [0.5] * 3)

    centroids = np.random.default_rng(0).standard_normal((3, NETWORKS[name])).astype(np.float32)
    students, teachers = ready(paths, centroids, CPU, teaching=True, groups=1, dsbn=False)
    mmt = MutualMeanTeaching(alpha=0.5, soft_ce_weight=0.5, soft_tri_weight=0.5, label_smoothing=0.1)
    batch = Batch(torch.arange(6), Targets(torch.tensor([0, 0, 1, 1, 2, 2])), [views(6, 1), views(6, 2)])
    optimizer = trained_by(students, 1e-3, 1.0, 5e-4)
    within = Round(1, 2, 0, 3, 0.1)
    losses = list(adapt(mmt, students, teachers, lambda i: batch, None, optimizer, within, lambda i: i))
    assert all(bool(each[0].isfinite()) for each in losses)
    assert teachers is not None
    assert any(not torch.equal(a, b) for a, b in zip(students[0].parameters(), teachers[0].parameters(), strict=True))

    out = tmp_path / "peer.safetensors"
    write_peer(out, students[0], teachers[0], Peer(form, 3, *SIZE, mean=HALF.mean, std=HALF.std))
    monkeypatch.chdir(tmp_path / "r00")  # without params.yaml
    np.testing.assert_array_equal(features(read_network(out, "teacher")), features(teachers[0]))


def test_the_files_mean_and_std_are_what_counts(tmp_path: Path) -> None:
    network, path = small("test_vit"), tmp_path / "a.safetensors"
    write_peer(path, network, network, Peer(network.form, 3, *SIZE, mean=IMAGENET.mean, std=IMAGENET.std))
    found = read_network(path, "student")
    assert [list(each) for each in found.normalisation] == [list(each) for each in IMAGENET]
    assert not np.allclose(features(found), features(network))
    other = tmp_path / "b.safetensors"
    write_peer(other, network, network, Peer(network.form, 3, *SIZE, mean=HALF.mean, std=HALF.std))
    assert re.search(
        r"b.safetensors: expected mean and std as a.safeten", refusal(lambda: normalisation_of([path, other]))
    )
    write_peer(path, network, network, Peer(network.form, 3, *SIZE, mean=[0.5, 0.5, 0.5], std=[0.5, 0.0, 0.5]))
    assert refusal(lambda: read_peer(path)) == f"{path}: expected what network it is in the metadata"


def test_the_backbone_has_a_learning_rate_of_its_own() -> None:
    network = small("test_vit")
    groups = {group["lr"]: len(group["params"]) for group in shares_of_lr([network], lr=1.0, backbone_share=0.1)}
    assert groups == {0.1: len(list(network.backbone.parameters())), 1.0: 2}  # the neck's weight and the classifier


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_an_adopted_peer_sees_images_of_another_size(tmp_path: Path, name: str) -> None:
    network, path = small(name), tmp_path / "a.safetensors"
    write_peer(path, network, network, Peer(network.form, 3, *SIZE, mean=HALF.mean, std=HALF.std))
    found, peer = adopted(path, network.form, (96, 48))
    assert (peer.height, peer.width, list(peer.mean)) == (96, 48, [0.5] * 3)
    write_peer(path, found, found, peer)
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 48, 3), np.uint8)
    assert extract(inference(read_network(path, "student")), images, CPU, "test").shape == (2, NETWORKS[name])
    if name == "test_vit":
        embedding = network.get_parameter("backbone.model.pos_embed")
        expected = resample_abs_pos_embed(embedding, [6, 3], [4, 2], num_prefix_tokens=1)
        torch.testing.assert_close(found.get_parameter("backbone.model.pos_embed"), expected)
        assert refusal(lambda: adopted(path, network.form, (100, 48))).startswith(
            "backbone: timm/test_vit: expected image_height and image_width that are multiples of 16"
        )


# --- batch norms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_batch_norms_of_timm_see_a_part_at_a_time_and_keep_their_activation(name: str) -> None:
    apart, together = small(name).double().train(), small(name).double().train()
    in_parts(together, 2, domains=False)
    assert list(together.state_dict()) == list(apart.state_dict())
    assert sum(isinstance(module, PartBatchNorm) for module in together.modules()) > 3
    with torch.no_grad():
        pooled, logits = together(views(8).double())
        parts = [apart(chunk) for chunk in views(8).double().chunk(2)]
        torch.testing.assert_close(pooled, torch.cat([part[0] for part in parts]))
        torch.testing.assert_close(logits, torch.cat([part[1] for part in parts]))
        assert features(together.float()).shape == (3, together.backbone.width)


def test_the_source_has_batch_norms_of_its_own(tmp_path: Path) -> None:
    network = small("test_efficientnet").train()
    in_parts(network, 1, domains=True)
    network(torch.cat([views(4), 3 + views(4, 1)]))
    path = tmp_path / "a.safetensors"
    write_peer(path, network, network, Peer(network.form, 3, *SIZE, mean=HALF.mean, std=HALF.std))
    assert_same_bits(read_network(path, "student"), network)
    own = [name for name in network.state_dict() if ".source.running_mean" in name]
    assert len(own) > 3
    assert not any(
        torch.equal(network.get_buffer(name), network.get_buffer(name.replace("source.", ""))) for name in own
    )


def test_without_batch_norms_a_line_says_what_the_parts_concern() -> None:
    network = small("test_vit")
    with pytest.warns(UserWarning, match=r"^bn_groups, dsbn: the backbone has no batch norm: they concern the neck's"):
        in_parts(network, 2, domains=False)
    assert [name for name, each in network.named_modules() if isinstance(each, PartBatchNorm)] == ["neck"]


# --- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("prefix", ["", "module.backbone."])
def test_a_file_of_timms_network_fills_the_backbone(tmp_path: Path, name: str, prefix: str) -> None:
    state, path = theirs(name, num_classes=7).state_dict(), tmp_path / "weights.safetensors"
    save_file({prefix + key: tensor for key, tensor in state.items()}, path)
    network = small(name)
    load_initial_backbone(network, f"timm/{name}", str(path))
    for key, tensor in network.backbone.model.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(tensor, state[key]), key


def test_position_embeddings_of_another_size_are_resampled_as_timm_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, path = theirs("test_vit", (160, 160), num_classes=7).state_dict(), tmp_path / "weights.pth"
    torch.save({"state_dict": state, "epoch": 3}, path)
    network = small("test_vit")
    load_initial_backbone(network, "timm/test_vit", str(path))
    assert f"weights: {path}: tensors renamed or resampled for timm/test_vit as timm does" in capsys.readouterr().out
    given = {key: tensor.clone() for key, tensor in state.items()}
    expected = theirs("test_vit", pretrained=True, pretrained_cfg_overlay={"state_dict": given})
    assert_same_bits(network.backbone.model, expected)  # type: ignore[arg-type]
    assert network.get_parameter("backbone.model.pos_embed").shape == (1, 9, 64)


def test_a_token_for_what_was_masked_is_dropped(tmp_path: Path) -> None:
    """The files of DINOv2's authors have one."""
    state, path = theirs("test_vit").state_dict(), tmp_path / "dinov2_vits14_pretrain.pth"
    torch.save(state | {"mask_token": torch.zeros(1, 64)}, path)
    network = small("test_vit")
    load_initial_backbone(network, "timm/test_vit", str(path))
    for key, tensor in network.backbone.model.state_dict().items():  # type: ignore[union-attr]
        assert torch.equal(tensor, state[key]), key


def test_another_networks_file_is_refused_by_what_it_is(tmp_path: Path) -> None:
    path, network = tmp_path / "weights.pth", small("test_vit")
    before = deepcopy(network.state_dict())
    torch.save(ReidNetwork("resnet18", 2).backbone.state_dict(), path)
    message = refusal(lambda: load_initial_backbone(network, "timm/test_vit", str(path)))
    assert message.startswith(f"weights: {path}: not the weights of timm/test_vit but of resnet18: ")
    torch.save(theirs("test_vit2").state_dict(), path)
    message = refusal(lambda: load_initial_backbone(network, "timm/test_vit", str(path)))
    assert message.startswith(
        f"weights: {path}: not the weights of timm/test_vit: cls_token, norm.weight and 1 more are m"
    )
    torch.save(theirs("test_vit", embed_dim=32).state_dict(), path)
    message = refusal(lambda: load_initial_backbone(network, "timm/test_vit", str(path)))
    assert message.startswith(f"weights: {path}: unfit for timm/test_vit: ")
    assert message.endswith("expected (1, 1, 64)")
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_timms_own_weights_are_fetched_by_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    state = theirs("test_vit", (160, 160), num_classes=1000).state_dict()
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *given, **options: dict(state))
    network = initial_network(FORM | {"backbone": "timm/test_vit"}, 3, "imagenet", 1, SIZE)
    assert torch.equal(network.get_parameter("backbone.model.cls_token"), state["cls_token"])
    assert network.get_parameter("backbone.model.pos_embed").shape == (1, 9, 64)


def test_where_they_cannot_be_fetched_the_line_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*given: object, **options: object) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", unreachable)
    url = "https://huggingface.co/timm/test_vit.r160_in1k/resolve/main/model.safetensors"
    message = refusal(lambda: load_initial_backbone(small("test_vit"), "timm/test_vit", "imagenet"))
    assert message == f"weights: imagenet: timm could not load {url}: fetch it, name the file (OSError)"
    message = refusal(lambda: load_initial_backbone(small("test_vit4"), "timm/test_vit4", "imagenet"))
    assert message == "weights: imagenet: timm has none of test_vit4: expected a file, or none"


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("test_vitt", {}, "backbone: timm/test_vitt: unknown to timm 1.*did you mean timm/test_vit or"),
        (
            "test_vit.in22k",
            {},
            "backbone: timm/test_vit.in22k: unknown to timm .*: expected one of its weights, .r160_in1k",
        ),
        ("test_vit", {"size": (60, 32)}, "multiples of 16 and 16, its patches, got 60 x 32"),
        ("convit_tiny", {"size": (64, 32)}, "backbone: timm/convit_tiny: cannot see images of 64 x 32: RuntimeError"),
        ("test_vit", {"pooling": "gem"}, "pooling: gem: timm/test_vit gives tokens"),
        ("test_vit2", {"pooling": "cls"}, "pooling: cls: timm/test_vit2 has no class token: expected avg"),
        ("test_resnet", {"pooling": "cls"}, "pooling: cls: timm/test_resnet has no class token: expected avg"),
        ("pit_ti_224", {"size": (224, 224)}, "pooling: avg: timm/pit_ti_224 gives a class token alone: expected cls"),
        ("crossvit_tiny_240", {"size": (240, 240)}, "expected a network with one feature map or sequence of tokens"),
    ],
)
def test_what_timm_or_the_pooling_has_not_is_one_line(name: str, settings: dict[str, Any], told: str) -> None:
    assert re.search(told, refusal(lambda: small(name, **settings)))


def test_without_timm_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, path = small("test_resnet"), tmp_path / "a.safetensors"
    write_peer(path, network, network, Peer(network.form, 3, *SIZE))
    monkeypatch.setitem(sys.modules, "timm", None)
    for build in (lambda: small("test_resnet"), lambda: read_network(path, "teacher")):
        assert refusal(build).startswith("backbone: timm/test_resnet: needs timm: pip install timm")
    assert read_peer(path).classes == 3


def test_the_lines_of_the_page_run() -> None:
    (lines,) = blocks("docs/backbones.md", "python")
    assert "assert " in lines
    exec(lines, {"__name__": "page"})


@pytest.mark.parametrize("backbone", [5, None, "timm/", "timm/../x", "timm/hf-hub:org/name", "timm/Test_Vit"])
def test_a_file_that_says_another_backbone_is_refused(tmp_path: Path, backbone: object) -> None:
    network, path = small("test_resnet"), tmp_path / "a.safetensors"
    write_peer(path, network, network, Peer(network.form | {"backbone": backbone}, 3, *SIZE))
    assert re.match(
        rf"({path}: expected a network|backbone: timm/.*: unknown to timm)",
        refusal(lambda: read_network(path, "student")),
    )


def imports_at_the_top(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_timm_is_imported_where_it_is_asked_for_alone() -> None:
    files = [file for room in ("mutual", "stages", "tools", "demo") for file in (TOP / room).rglob("*.py")]
    assert len(files) > 80
    for file in files:
        names = imports_at_the_top(ast.parse(file.read_text(encoding="utf-8")))
        assert not [name for name in names if name.split(".")[0] == "timm"], file
