"""params.yaml and rounds.yaml: what is accepted, and the one line for each mistake."""

import itertools
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mutual.base.errors import InputError
from mutual.base.params import (
    METHODS,
    PLACES,
    Params,
    is_round,
    keys_of,
    read_params,
    read_rounds,
    round_number,
    unfolded,
)

TOP = Path(__file__).parent.parent
DEFAULTS: dict[str, Any] = YAML(typ="safe", pure=True).load((TOP / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def rounds_file(tmp_path: Path) -> Path:
    path = tmp_path / "rounds.yaml"
    path.write_text("rounds:\n  r01: r00\n", encoding="utf-8")
    return path


def params_file(folder: Path, **changed: str | None) -> Path:
    """The project's own parameters with some keys' YAML text changed, or left out where it is None."""
    texts = {**{key: json.dumps(value) for key, value in DEFAULTS.items()}, **changed}
    path = folder / "params.yaml"
    path.write_text("".join(f"{key}: {text}\n" for key, text in texts.items() if text is not None), encoding="utf-8")
    return path


def refusal(path: Path, rounds: Path) -> str:
    """What the user reads, without the file's name in front."""
    with pytest.raises(InputError) as refused:
        read_params(path, rounds)
    message = str(refused.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def rounds_refusal(folder: Path, text: str) -> str:
    path = folder / "rounds.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_rounds(path)
    message = str(refused.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def rounds(folder: Path, text: str) -> list[tuple[str, str]]:
    path = folder / "rounds.yaml"
    path.write_text(text, encoding="utf-8")
    return list(read_rounds(path).items())


# --- the project's own files -----------------------------------------------------------------------------------------


def test_the_projects_own_files_are_valid() -> None:
    params = read_params(TOP / "params.yaml", TOP / "rounds.yaml")
    assert params.values(PLACES) == unfolded(DEFAULTS)
    assert next(iter(read_rounds(TOP / "rounds.yaml").values())) == "r00"


def test_checked_parameters_cannot_be_changed(tmp_path: Path, rounds_file: Path) -> None:
    params = read_params(params_file(tmp_path), rounds_file)
    with pytest.raises(ValueError, match="frozen"):
        params.refining.alpha = 0.5


# --- params.yaml -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [("5e-4", 0.0005), ("3.5e-4", 0.00035), ("1e-3", 0.001), ("1", 1.0)])
def test_numbers_in_scientific_notation_are_numbers(tmp_path: Path, rounds_file: Path, text: str, value: float) -> None:
    # YAML 1.1 parsers read 5e-4 as a string
    assert read_params(params_file(tmp_path, weight_decay=text), rounds_file).penalties.weight_decay == value


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("alhpa", "alhpa: unknown parameter, did you mean alpha?"),
        ("''", "'': unknown parameter"),
        ("learning_rate", "learning_rate: unknown parameter"),
        ("network", "network: unknown parameter"),  # a view's name, in which keys stand in the code alone
        ("name", "name: unknown parameter"),  # a field of the two data sets
        ("source", "source: unknown parameter, did you mean source_root?"),
        ("5", "5: unknown parameter"),
        ("null", "None: unknown parameter"),
        ('"al\\npha"', "'al\\npha': unknown parameter, did you mean alpha?"),
    ],
)
def test_an_unknown_parameter_is_named(tmp_path: Path, rounds_file: Path, key: str, fault: str) -> None:
    assert refusal(params_file(tmp_path, **{key: "0.9"}), rounds_file).startswith(fault)


def test_of_a_mistyped_key_the_mistake_is_told_and_not_that_the_right_one_is_missing(
    tmp_path: Path, rounds_file: Path
) -> None:
    path = params_file(tmp_path, alpha=None, alhpa="0.9", k1="-1", k3="1")
    assert refusal(path, rounds_file) == "alhpa: unknown parameter, did you mean alpha? (and 1 more)"


@pytest.mark.parametrize("key", [key for key in DEFAULTS if key not in METHODS])
def test_every_missing_parameter_is_named(tmp_path: Path, rounds_file: Path, key: str) -> None:
    assert refusal(params_file(tmp_path, **{key: None}), rounds_file) == f"{key}: missing"


def test_too_few_clusters_for_a_batch_are_refused(tmp_path: Path, rounds_file: Path) -> None:
    fault = "clusters: expected 16 at least, for a batch of 64 with 4 each, got 15"
    assert refusal(params_file(tmp_path, clusters="15"), rounds_file) == fault
    read_params(params_file(tmp_path, clusters="16"), rounds_file)
    read_params(params_file(tmp_path, clusters="15", clustering='"dbscan"'), rounds_file)


# --- keys of one method ----------------------------------------------------------------------------------------------

OWN = [key for method in METHODS for key in keys_of(method).values()]


def with_own(folder: Path, method: str, key: str, value: Any) -> Path:
    """params.yaml with another method and another value of a key such as ``dmt.gamma1``; None leaves it out."""
    of, _, name = key.partition(".")
    below = {each: under for each, under in (DEFAULTS[of] | {name: value}).items() if under is not None}
    return params_file(folder, **{"method": json.dumps(method), of: json.dumps(below)})


def test_params_yaml_has_the_values_that_other_methods_must_leave() -> None:
    for method in METHODS:
        assert Params.model_fields[method].annotation().model_dump() == DEFAULTS[method]  # type: ignore[misc]


@pytest.mark.parametrize("key", OWN)
def test_a_missing_key_of_a_method_is_named(tmp_path: Path, rounds_file: Path, key: str) -> None:
    assert refusal(with_own(tmp_path, key.partition(".")[0], key, None), rounds_file) == f"{key}: missing"


@pytest.mark.parametrize("key", OWN)
def test_a_key_of_a_method_is_refused_where_another_is_chosen(tmp_path: Path, rounds_file: Path, key: str) -> None:
    of, _, name = key.partition(".")
    default = DEFAULTS[of][name]
    other = not default if isinstance(default, bool) else default / 2 if isinstance(default, float) else default + 1
    read_params(with_own(tmp_path, of, key, other), rounds_file)
    shown = f"expected {default} where method is not {of}, which alone would use it, got {other} with method self"
    assert refusal(with_own(tmp_path, "self", key, other), rounds_file) == f"{key}: {shown}"


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("coteaching.forget_rate", 1, "coteaching.forget_rate: expected less than 1, got 1"),
        ("coteaching.forget_rounds", 0, "coteaching.forget_rounds: expected greater than or equal to 1, got 0"),
        ("core.opening", 1.5, "core.opening: expected less than or equal to 1, got 1.5"),
        ("dmt.temperature", 0, "dmt.temperature: expected greater than 0, got 0"),
        ("dmt.gama1", 1, "dmt.gama1: unknown parameter, did you mean dmt.gamma1?"),
    ],
)
def test_a_wrong_key_of_a_method_is_named(
    tmp_path: Path, rounds_file: Path, key: str, value: float, fault: str
) -> None:
    assert refusal(with_own(tmp_path, key.partition(".")[0], key, value), rounds_file) == fault


@pytest.mark.parametrize(
    ("key", "text", "fault"),
    [
        ("forget_rate", "0.2", "forget_rate: unknown parameter, did you mean coteaching.forget_rate?"),
        ("coteaching", "0.2", "coteaching: expected its keys below it: forget_rate, forget_rounds, exponent"),
        ("coteaching", "[1]", "coteaching: expected its keys below it: forget_rate, forget_rounds, exponent"),
        ("core", "{5: 1}", "core.5: unknown parameter"),
        ("core", "", "core: expected its keys below it: opening, opening_lr, selective"),
        ("dmt.gamma1", "1.0", "dmt.gamma1: expected gamma1 below dmt, indented"),
        ("alpha", "{x: 1}", "alpha: expected a valid number, got {'x': 1}"),
    ],
)
def test_a_key_in_the_wrong_place_is_named(tmp_path: Path, rounds_file: Path, key: str, text: str, fault: str) -> None:
    assert refusal(params_file(tmp_path, **{key: text}), rounds_file).startswith(fault)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("batch_size", "64.5", "integer"),
        ("batch_size", '"64"', "integer"),
        ("batch_size", "true", "integer"),
        ("batch_size", "", "integer"),
        ("batch_size", "[64]", "integer"),
        ("lr", "fast", "number"),
        ("lr", '"3.5e-4"', "number"),
        ("lr", "0", "greater than 0"),
        ("lr", ".nan", "finite"),
        ("lr", ".inf", "finite"),
        ("alpha", "1", "less than 1"),
        ("alpha", "-0.1", "greater than or equal to 0"),
        ("soft_ce_weight", "1.01", "less than or equal to 1"),
        ("soft_tri_weight", "-0.01", "greater than or equal to 0"),
        ("erase_probability", "50", "less than or equal to 1"),
        ("dropout", "1", "less than 1"),
        ("clusters", "1", "greater than or equal to 2"),
        ("iterations", "0", "greater than or equal to 1"),
        ("padding", "-1", "greater than or equal to 0"),
        ("stem_relu", "1", "boolean"),
        ("backbone", "resnet20", "'resnet18', 'resnet34'"),
        ("precision", "fp16", "'fp32', 'tf32' or 'bf16'"),
        (
            "source_layout",
            "market",
            "'market1501', 'dukemtmc', 'msmt17', 'veri776', 'csv', 'folders', 'camera_folders' or 'heap'",
        ),
        ("source_root", "5", "string"),
        ("seeds", "1", "list"),
        ("pretrain_milestones", "14", "list"),
        ("seed", "4294967296", "less than 4294967296"),
        ("seeds", "[1, 4294967296]", "less than 4294967296"),
        ("seed", "9" * 40, "less than 4294967296"),
        ("iterations", "10000000000000000000000", "less than or equal to 1000000"),
        ("pretrain_epochs", "100000", "less than or equal to 10000"),
        ("image_height", "100000000", "less than or equal to 2048"),
        ("clusters", "1e3", "integer"),
        ("clusters", "1000001", "less than or equal to 1000000"),
        ("k1", "10001", "less than or equal to 10000"),
        ("weight_decay", "5", "less than or equal to 1"),
        ("source_weight", "1e300", "less than or equal to 1000"),
        ("source_root", '" data"', "without control characters and blanks at its ends"),
        ("source_root", '"data\\0"', "without control characters and blanks at its ends"),
        ("source_root", "x" * 5000, "at most 1000 characters"),
    ],
)
def test_wrong_values_are_named_with_what_was_expected(
    tmp_path: Path, rounds_file: Path, key: str, text: str, expected: str
) -> None:
    message = refusal(params_file(tmp_path, **{key: text}), rounds_file)
    assert message.startswith((f"{key}: expected ", f"{key}.1: expected "))
    assert expected in message
    assert ", got " in message


@pytest.mark.parametrize("text", ["rules", "0", "-0.5", "2.5", "true", ".nan"])
def test_eps_is_the_rule_or_a_distance(tmp_path: Path, rounds_file: Path, text: str) -> None:
    message = refusal(params_file(tmp_path, dbscan_eps=text), rounds_file)
    assert message.startswith("dbscan_eps: expected rule, or a distance above 0 and at most 2, got ")


@pytest.mark.parametrize(("text", "value"), [("rule", "rule"), ("0.6", 0.6), ("1", 1.0)])
def test_eps_as_it_may_be_written(tmp_path: Path, rounds_file: Path, text: str, value: object) -> None:
    found = read_params(params_file(tmp_path, dbscan_eps=text), rounds_file).clustering.dbscan_eps
    assert found == value
    assert isinstance(found, type(value))


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (
            {"pretrained": "models/peer{seed}.safetensors"},
            "pretrained: expected the folder that holds peer1.safetensors and the like, as models/r00 does, got",
        ),
        ({"dsbn": "true"}, "dsbn: expected source batches (source_weight above 0), which it gives batch norms"),
        ({"padding": "32"}, "padding: expected less than the images' height and width (32), got 32"),
        (
            {"batch_size": "65536", "image_height": "2048", "image_width": "1024"},
            "batch_size: expected at most 268435456 pixels in a batch, got 65536 x 2048 x 1024",
        ),
        (
            {"demo_test_pids": "10000", "demo_images_per_test_pid": "201"},
            "demo_test_pids: expected at most 2000000 images in all, got 10000 x 201",
        ),
        (
            {"source_root": "none", "source_name": "none"},
            "weights: expected imagenet or a file where source_root and pretrained are none, got none",
        ),
        (
            {"source_root": "none", "weights": "imagenet"},
            "source_name: expected none, as source_root is, got 'demo-summer'",
        ),
        (
            {"source_root": "none", "pretrained": "theirs", "source_weight": "0.5"},
            "source_weight: expected 0 where source_root is none, got 0.5",
        ),
        (
            {"source_root": "none", "pretrained": "theirs", "source_distance_weight": "0.1"},
            "source_distance_weight: expected 0 where source_root is none, got 0.1",
        ),
        ({"bn_groups": "3"}, "bn_groups: expected equal groups of two images or more in a batch of 64, got 3"),
        ({"bn_groups": "64"}, "bn_groups: expected equal groups of two images or more in a batch of 64, got 64"),
    ],
)
def test_values_that_do_not_fit_together(tmp_path: Path, rounds_file: Path, values: dict[str, str], fault: str) -> None:
    assert refusal(params_file(tmp_path, **values), rounds_file).startswith(fault)


def test_a_wrong_value_within_a_list_is_named_by_its_place(tmp_path: Path, rounds_file: Path) -> None:
    message = refusal(params_file(tmp_path, seeds="[1, two]"), rounds_file)
    assert message.startswith("seeds.1: expected ")
    assert message.endswith("got 'two'")


def test_further_faults_are_counted(tmp_path: Path, rounds_file: Path) -> None:
    message = refusal(params_file(tmp_path, alpha="2", lr="-1", seeds="[]"), rounds_file)
    assert message.endswith("(and 2 more)")


def test_a_batch_needs_two_identities_and_an_identity_two_images(tmp_path: Path, rounds_file: Path) -> None:
    message = refusal(params_file(tmp_path, batch_size="4", instances="4"), rounds_file)
    assert message == "batch_size: expected two identities at least (8 images), got 4"
    message = refusal(params_file(tmp_path, instances="1"), rounds_file)
    assert message == "instances: expected greater than or equal to 2, got 1"


def test_batch_size_must_be_a_multiple_of_instances(tmp_path: Path, rounds_file: Path) -> None:
    message = refusal(params_file(tmp_path, batch_size="62", instances="4"), rounds_file)
    assert message == "batch_size: expected a multiple of instances (4), got 62"


def test_seeds_must_differ(tmp_path: Path, rounds_file: Path) -> None:
    message = refusal(params_file(tmp_path, seeds="[1, 2, 1]"), rounds_file)
    assert message.startswith("seeds: expected a different seed for every peer")
    assert "[1, 2, 1]" in message


def test_one_seed_is_enough_and_none_is_not(tmp_path: Path, rounds_file: Path) -> None:
    assert read_params(params_file(tmp_path, seeds="[7]"), rounds_file).peers.seeds == [7]
    assert refusal(params_file(tmp_path, seeds="[]"), rounds_file).startswith("seeds: ")


@pytest.mark.parametrize("text", ["[19, 14]", "[14, 14]"])
def test_milestones_must_rise(tmp_path: Path, rounds_file: Path, text: str) -> None:
    assert refusal(params_file(tmp_path, pretrain_milestones=text), rounds_file).startswith("pretrain_milestones: ")


@pytest.mark.parametrize(
    "text", ["alpha: [0.9\n", "alpha: 0.9\n\tlr: 1\n", "alpha: 0.9\nalpha: 0.8\n", "a: b: c\n", "{", "@"]
)
def test_broken_yaml_is_one_line(tmp_path: Path, rounds_file: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    assert refusal(path, rounds_file).startswith("not valid YAML: ")


def test_text_that_is_not_utf8_is_one_line(tmp_path: Path, rounds_file: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes("source_name: Zürich\n".encode("latin-1"))
    assert refusal(path, rounds_file).startswith("not valid YAML: ")


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "- alpha\n", "alpha\n", "5\n"])
def test_a_file_without_keys_is_one_line(tmp_path: Path, rounds_file: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    assert refusal(path, rounds_file) == "expected `key: value` lines"


def test_a_missing_file_is_one_line(tmp_path: Path, rounds_file: Path) -> None:
    assert refusal(tmp_path / "params.yaml", rounds_file).startswith("not found")


@pytest.mark.parametrize(
    "key", ["seeds", "pretrain_milestones", "source_root", "dbscan_eps", "iterations", "backbone", "x" * 5000]
)
@pytest.mark.parametrize(
    "text",
    ["9" * 399, "[" + "1, " * 50_000 + "0]", '"' + "x\\n" * 50_000 + '"', "[" * 45 + "]" * 45, '"\u202e "'],
    ids=["digits", "a long list", "lines", "nested", "right to left"],
)
def test_whatever_is_wrong_is_echoed_in_one_short_line(tmp_path: Path, rounds_file: Path, key: str, text: str) -> None:
    message = refusal(params_file(tmp_path, **{key: text}), rounds_file)
    assert len(message) <= 200
    assert message.isprintable()


def test_a_folder_or_a_pipe_in_the_place_of_the_file_is_one_line(tmp_path: Path, rounds_file: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # whoever opens it waits for ever
    assert refusal(tmp_path / "folder", rounds_file) == "expected a file, found a folder"
    assert refusal(tmp_path / "pipe", rounds_file) == "expected a file, found something else"


def test_wrong_rounds_stop_every_stage(tmp_path: Path, rounds_file: Path) -> None:
    rounds_file.write_text("rounds:\n  1: 0\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"rounds\.yaml"):
        read_params(params_file(tmp_path), rounds_file)


# --- rounds.yaml -----------------------------------------------------------------------------------------------------


def test_rounds_come_in_the_order_in_which_they_run(tmp_path: Path) -> None:
    text = "rounds:\n  r03: r02\n  r01: r00\n  r02: r01\n"
    assert rounds(tmp_path, text) == [("r01", "r00"), ("r02", "r01"), ("r03", "r02")]


def test_the_chain_and_not_the_name_gives_the_order(tmp_path: Path) -> None:
    text = "rounds:\n  r01: r02\n  r02: r00\n  r04: r00\n  r03: r04\n"
    found = rounds(tmp_path, text)
    assert found[:2] == [("r02", "r00"), ("r04", "r00")]
    assert sorted(found[2:]) == [("r01", "r02"), ("r03", "r04")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("rounds:\n  1: r00\n", "1"),
        ("rounds:\n  r01: 0\n", "0"),
        ("rounds:\n  1: 0\n", "1"),
        ("rounds:\n  r01:\n", "None"),
        ("rounds:\n  r01: [r00]\n", "'r00'"),
        ("rounds:\n  r1: r00\n", "'r1'"),
        ("rounds:\n  first: r00\n", "'first'"),
        ("rounds:\n  r01: r00 \n  r-2: r01\n", "'r-2'"),
    ],
)
def test_names_that_are_no_rounds_are_shown_with_what_was_expected(tmp_path: Path, text: str, named: str) -> None:
    message = rounds_refusal(tmp_path, text)
    assert named in message
    assert "r01" in message


def test_a_cycle_is_shown(tmp_path: Path) -> None:
    message = rounds_refusal(tmp_path, "rounds:\n  r01: r03\n  r02: r01\n  r03: r02\n")
    assert "cycle" in message
    assert all(name in message for name in ("r01", "r02", "r03"))


def test_a_round_that_starts_from_itself_is_a_cycle(tmp_path: Path) -> None:
    assert "cycle" in rounds_refusal(tmp_path, "rounds:\n  r01: r00\n  r02: r02\n")


def test_a_round_that_leads_into_a_cycle_is_refused(tmp_path: Path) -> None:
    assert "cycle" in rounds_refusal(tmp_path, "rounds:\n  r01: r02\n  r02: r03\n  r03: r02\n")


def test_a_long_chain_is_put_in_order(tmp_path: Path) -> None:
    names = [f"r{i:02d}" for i in range(20_001)]
    lines = [f"  {name}: {start}\n" for start, name in itertools.pairwise(names)]
    random.Random(0).shuffle(lines)
    assert rounds(tmp_path, "rounds:\n" + "".join(lines)) == [(b, a) for a, b in itertools.pairwise(names)]


def test_of_a_long_cycle_the_ends_are_shown(tmp_path: Path) -> None:
    lines = "".join(f"  r{i:02d}: r{i % 2000 + 1:02d}\n" for i in range(1, 2001))
    message = rounds_refusal(tmp_path, "rounds:\n" + lines)
    assert message.startswith("the rounds r01 <- r02 <- ")
    assert len(message) <= 200


@pytest.mark.parametrize("name", ["x" * 5000, "r" + "9" * 300, '"r01\\r"', "[r01]"])
def test_names_that_are_no_rounds_are_echoed_in_one_short_line(tmp_path: Path, name: str) -> None:
    for text in (f"rounds:\n  r01: {name}\n", f'rounds: {{ "{name[:900]}": r00 }}\n'.replace('""', '"')):
        message = rounds_refusal(tmp_path, text)
        assert len(message) <= 200
        assert message.isprintable()


def test_a_start_that_does_not_exist_is_named(tmp_path: Path) -> None:
    message = rounds_refusal(tmp_path, "rounds:\n  r01: r00\n  r05: r04\n")
    assert message == "r05 starts from r04, which is neither r00 nor another round"


def test_r00_cannot_be_a_round(tmp_path: Path) -> None:
    assert "r00" in rounds_refusal(tmp_path, "rounds:\n  r00: r01\n  r01: r00\n")


def test_two_names_of_one_number_are_refused(tmp_path: Path) -> None:
    # r01 and r001 would share their random streams and their line in the tables
    rounds_refusal(tmp_path, "rounds:\n  r01: r00\n  r001: r01\n")


@pytest.mark.parametrize(
    "text", ["r01: r00\n", "rounds:\n", "rounds: r01\n", "rounds: [r01]\n", "rounds: {}\nseed: 1\n"]
)
def test_anything_but_one_mapping_of_rounds_is_refused(tmp_path: Path, text: str) -> None:
    assert "rounds" in rounds_refusal(tmp_path, text)


def test_an_empty_mapping_of_rounds_is_refused(tmp_path: Path) -> None:
    assert "r01: r00" in rounds_refusal(tmp_path, "rounds: {}\n")


def test_broken_yaml_in_rounds_is_one_line(tmp_path: Path) -> None:
    assert rounds_refusal(tmp_path, "rounds:\n  r01: r00\n r02: r01\n").startswith("not valid YAML: ")


@pytest.mark.parametrize(("name", "number"), [("r00", 0), ("r07", 7), ("r123", 123)])
def test_the_number_of_a_round(name: str, number: int) -> None:
    assert is_round(name)
    assert round_number(name) == number


@pytest.mark.parametrize("name", ["r7", "07", "r", "rr07", "r-1", "r0a", "r07 ", "r07\n", "R07", "r\u0663\u0663", ""])
def test_what_is_no_round_is_refused(name: str) -> None:
    assert not is_round(name)
    with pytest.raises(InputError, match="round's name such as r01"):
        round_number(name)


def test_only_strings_are_rounds() -> None:
    assert not any(is_round(what) for what in (1, None, ["r01"]))
