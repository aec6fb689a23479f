"""mAP and CMC against the authors' values, a plain second implementation, and by hand."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mutual.base.store import read_array
from mutual.evaluation.accuracy import accuracy
from mutual.evaluation.ranking import Nearest, Ranking, euclidean, rank_blocks, rank_distances
from mutual.evaluation.retrieval import KEPT, write_features, write_ranking
from tests.golden import golden

STORED = golden("ranking")


def ranked(distances: str) -> Ranking:
    ids = [STORED[key] for key in ("query_ids", "gallery_ids", "query_cams", "gallery_cams")]
    return rank_distances(STORED[distances], *ids)


def one_query(distances: list[float], pids: list[int], camids: list[int]) -> Ranking:
    """The ranking of a single query of pid 1 in camera 1."""
    query_pid, query_camid = np.array([1]), np.array([1])
    return rank_distances(np.array([distances]), query_pid, np.array(pids), query_camid, np.array(camids))


def first_match_by_loop(row: np.ndarray, match: np.ndarray, kept: np.ndarray, ties_first: bool) -> int:
    """Rank of the first match, counted one image at a time; tied images stand before it or after it."""
    nearest = min(row[i] for i in range(len(row)) if match[i] and kept[i])
    rank = 1
    for i in range(len(row)):
        if kept[i] and not match[i] and (row[i] < nearest or (ties_first and row[i] == nearest)):
            rank += 1
    return rank


# --- the authors' values ---------------------------------------------------------------------------------------------


def test_average_precision_of_each_query_is_the_authors() -> None:
    found = ranked("distmat")
    np.testing.assert_allclose(found.average_precision, STORED["per_query_ap"], rtol=1e-9, atol=0)
    assert np.isnan(found.average_precision).sum() == 6
    assert found.mean_average_precision == pytest.approx(float(STORED["mAP"]), rel=1e-9)


def test_cmc_is_the_authors_at_all_ranks() -> None:
    found = ranked("distmat")
    cmc = np.array([found.rank(k) for k in range(1, 101)])
    np.testing.assert_allclose(cmc, STORED["cmc_market1501"], rtol=1e-12, atol=0)


def test_first_match_of_each_query_is_the_authors() -> None:
    cmc = STORED["per_query_cmc"]  # (queries, ranks): 0 before the first match, 1 from it on, NaN without a match
    for first, hits in zip(ranked("distmat").first_match, cmc, strict=True):
        if np.isnan(hits).any():
            assert first == 0
        elif hits.any():
            assert first == int(np.argmax(hits)) + 1
        else:
            assert first > len(hits)


def test_tied_distances_have_the_authors_map() -> None:
    assert ranked("tied_distmat").mean_average_precision == pytest.approx(float(STORED["tied_mAP"]), rel=1e-9)


def test_ties_count_against_the_match() -> None:
    found = ranked("tied_distmat")
    firsts: dict[bool, list[int]] = {True: [], False: []}
    for q, row in enumerate(STORED["tied_distmat"]):
        match = STORED["gallery_ids"] == STORED["query_ids"][q]
        kept = ~(match & (STORED["gallery_cams"] == STORED["query_cams"][q]))
        if (match & kept).any():
            for ties_first in firsts:
                firsts[ties_first].append(first_match_by_loop(row, match, kept, ties_first))
    ranks = range(1, 101)
    pessimistic = np.array([np.mean(np.array(firsts[True]) <= k) for k in ranks])
    optimistic = np.array([np.mean(np.array(firsts[False]) <= k) for k in ranks])
    np.testing.assert_array_equal([found.rank(k) for k in ranks], pessimistic)
    # the authors sort, so that ties fall either way: they lie between the two rules, which do differ here
    by_chance = STORED["tied_cmc_market1501_quicksort_order"]
    assert (pessimistic <= by_chance + 1e-12).all()
    assert (by_chance <= optimistic + 1e-12).all()
    assert (pessimistic < optimistic).any()


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_worked_example() -> None:
    # matches at ranks 1, 3 and 4 of 5: precision 1/1, 2/3, 3/4
    found = one_query([0.1, 0.2, 0.3, 0.4, 0.5], [1, 2, 1, 1, 3], [2, 2, 3, 4, 2])
    assert found.average_precision[0] == pytest.approx(float((1 + Fraction(2, 3) + Fraction(3, 4)) / 3))
    assert found.first_match[0] == 1


def test_images_of_the_querys_own_camera_are_left_out() -> None:
    # the nearest is the query's own picture; without it the match comes second: 1/2
    found = one_query([0.0, 0.2, 0.3], [1, 2, 1], [1, 1, 2])
    assert found.average_precision[0] == pytest.approx(1 / 2)
    assert found.first_match[0] == 2


def test_distractors_and_other_people_of_the_same_camera_stay() -> None:
    # pid 0 is ranked like anybody else: the match is third, 1/3
    found = one_query([0.1, 0.2, 0.3], [0, 2, 1], [1, 1, 2])
    assert found.average_precision[0] == pytest.approx(1 / 3)
    assert found.first_match[0] == 3


def test_a_tie_is_never_a_hit_by_luck() -> None:
    # one match and two others, all as far away: precision at that distance is 1/3 and the match ranks last
    found = one_query([0.5, 0.5, 0.5], [1, 2, 3], [2, 2, 2])
    assert found.average_precision[0] == pytest.approx(1 / 3)
    assert found.first_match[0] == 3


def test_two_matches_tied_with_another_image() -> None:
    # three images at one distance, two match: 2/3 for both; the first match stands behind the one other image
    found = one_query([0.5, 0.5, 0.5, 0.9], [1, 2, 1, 3], [2, 2, 3, 2])
    assert found.average_precision[0] == pytest.approx(2 / 3)
    assert found.first_match[0] == 2


def test_queries_without_a_match_do_not_count() -> None:
    distmat = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])
    # query 0 finds its match second, query 1 has only a picture of its own camera, query 2 nothing at all
    found = rank_distances(distmat, np.array([1, 2, 9]), np.array([2, 1, 4]), np.array([1, 1, 1]), np.array([1, 2, 2]))
    assert found.average_precision[0] == pytest.approx(1 / 2)
    assert np.isnan(found.average_precision[1:]).all()
    assert found.first_match.tolist() == [2, 0, 0]
    assert found.mean_average_precision == pytest.approx(1 / 2)
    assert [found.rank(1), found.rank(2)] == [0.0, 1.0]


# --- a second implementation, and properties -------------------------------------------------------------------------


Ids = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # of the query, the gallery: pids, then camids


def random_ids(rng: np.random.Generator, queries: int, gallery: int, pids: int, cameras: int) -> Ids:
    of_pids = rng.integers(0, pids, queries), rng.integers(0, pids, gallery)
    return *of_pids, rng.integers(0, cameras, queries), rng.integers(0, cameras, gallery)


def random_set(seed: int, ties: bool) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    distmat = rng.random((30, 120))
    if ties:
        distmat = distmat.round(1)
    return distmat, rng.integers(0, 12, 30), rng.integers(0, 12, 120), rng.integers(0, 3, 30), rng.integers(0, 3, 120)


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
def test_agrees_with_scikit_learn_and_a_loop(ties: bool) -> None:
    distmat, query_pids, gallery_pids, query_camids, gallery_camids = random_set(3, ties)
    found = rank_distances(distmat, query_pids, gallery_pids, query_camids, gallery_camids)
    precisions, hits = [], []
    for q in range(len(distmat)):
        match = gallery_pids == query_pids[q]
        kept = ~(match & (gallery_camids == query_camids[q]))
        if not (match & kept).any():
            continue
        precisions.append(average_precision_score(match[kept], -distmat[q][kept]))
        hits.append(first_match_by_loop(distmat[q], match, kept, ties_first=True) <= 5)
    assert found.mean_average_precision == pytest.approx(float(np.mean(precisions)), rel=1e-12)
    assert found.rank(5) == pytest.approx(float(np.mean(hits)))


def by_sorting(distmat: np.ndarray, *ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and rank of the first match from the sorted distances of each query."""
    query_pids, gallery_pids, query_camids, gallery_camids = ids
    precision, first = np.full(len(distmat), np.nan), np.zeros(len(distmat), np.int64)
    for q, row in enumerate(distmat):
        same = gallery_pids == query_pids[q]
        kept = ~(same & (gallery_camids == query_camids[q]))
        matches, ranked = np.sort(row[same & kept]), np.sort(row[kept])
        if len(matches):
            within = np.searchsorted(ranked, matches, side="right")
            precision[q] = np.mean(np.searchsorted(matches, matches, side="right") / within)
            first[q] = within[0] - np.searchsorted(matches, matches[0], side="right") + 1
    return precision, first


@pytest.mark.parametrize("seed", range(40))
def test_counting_finds_what_sorting_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery, pids, cameras = (int(rng.integers(1, most)) for most in (20, 300, 12, 4))
    distmat = rng.random((queries, gallery)).astype(rng.choice(["float32", "float64"]))
    distmat = distmat.round(int(rng.integers(0, 4)))  # from all equal to few ties
    ids = [
        rng.integers(0, high, size)
        for high, size in zip((pids, pids, cameras, cameras), (queries, gallery) * 2, strict=True)
    ]
    found = rank_distances(distmat, *ids)
    precision, first = by_sorting(distmat, *ids)
    np.testing.assert_allclose(found.average_precision, precision, rtol=1e-12)
    np.testing.assert_array_equal(found.first_match, first)


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
def test_the_order_of_the_gallery_does_not_matter(ties: bool) -> None:
    distmat, query_pids, gallery_pids, query_camids, gallery_camids = random_set(4, ties)
    plain = rank_distances(distmat, query_pids, gallery_pids, query_camids, gallery_camids)
    order = np.random.default_rng(0).permutation(120)
    shuffled = rank_distances(distmat[:, order], query_pids, gallery_pids[order], query_camids, gallery_camids[order])
    np.testing.assert_allclose(shuffled.average_precision, plain.average_precision, rtol=1e-12)
    np.testing.assert_array_equal(shuffled.first_match, plain.first_match)


def test_features_rank_as_their_euclidean_distances() -> None:
    rng = np.random.default_rng(5)
    # more queries than are ranked at once, so that the blocks are put together
    query, gallery = rng.normal(size=(300, 16)), rng.normal(size=(90, 16))
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    ids = rng.integers(0, 9, 300), rng.integers(0, 9, 90), rng.integers(0, 3, 300), rng.integers(0, 3, 90)
    distances = np.linalg.norm(query[:, None] - gallery[None], axis=2)
    expected = rank_distances(distances, *ids)
    blocks = euclidean(query.astype(np.float32), gallery.astype(np.float32), torch.device("cpu"))
    found, nearest = rank_blocks(blocks, *ids)
    # float32 swaps two images at most here and there
    assert found.mean_average_precision == pytest.approx(expected.mean_average_precision, abs=1e-4)
    assert np.mean(found.first_match == expected.first_match) > 0.99
    assert nearest.row.shape == nearest.distance.shape == (300, 0)  # none was asked for


def test_a_perfect_ranking_scores_one_everywhere() -> None:
    pids = np.array([1, 2, 3])
    distmat = 1 - np.eye(3)
    found = rank_distances(distmat, pids, pids, np.array([1, 1, 1]), np.array([2, 2, 2]))
    assert found.mean_average_precision == 1.0
    assert found.rank(1) == 1.0


# --- the nearest of each query ---------------------------------------------------------------------------------------


def in_blocks(distmat: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(distmat), size):
        yield start, distmat[start : start + size]


def nearest_by_sorting(distmat: np.ndarray, ids: Ids, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and distances, by sorting all that is left of the gallery."""
    query_pids, gallery_pids, query_camids, gallery_camids = ids
    row = np.full((len(distmat), kept), -1)
    distance = np.full((len(distmat), kept), np.inf)
    for q, values in enumerate(distmat):
        own = (gallery_pids == query_pids[q]) & (gallery_camids == query_camids[q])
        ranked = sorted((float(values[g]), g) for g in range(len(values)) if not own[g])[:kept]
        for place, (value, g) in enumerate(ranked):
            row[q, place], distance[q, place] = g, value
    return row, distance


@pytest.mark.parametrize("seed", range(30))
def test_the_nearest_are_those_of_a_plain_sort(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery, pids, cameras, kept = (int(rng.integers(1, most)) for most in (20, 80, 12, 4, 60))
    distmat = rng.random((queries, gallery)).astype(np.float32).round(int(rng.integers(0, 4)))  # ties, from all to few
    ids = random_ids(rng, queries, gallery, pids, cameras)
    _, found = rank_blocks(in_blocks(distmat, 7), *ids, kept)
    row, distance = nearest_by_sorting(distmat, ids, kept)
    assert found.row.dtype == np.int32
    assert found.distance.dtype == np.float32
    np.testing.assert_array_equal(found.row, row)
    np.testing.assert_array_equal(found.distance, distance.astype(np.float32))


def test_the_nearest_by_hand() -> None:
    # row 0 is the query's own picture; of the equals 1 and 4 the lower row comes first; only four are left
    distmat = np.array([[0.0, 0.5, 0.25, 0.75, 0.5]], np.float32)
    ids = np.array([1]), np.array([1, 2, 1, 1, 3]), np.array([1]), np.array([1, 1, 2, 3, 2])
    _, found = rank_blocks(in_blocks(distmat, 1), *ids, 5)
    assert found.row.tolist() == [[2, 1, 4, 3, -1]]
    assert found.distance.tolist() == [[0.25, 0.5, 0.5, 0.75, np.inf]]


def test_a_query_that_finds_nobody_has_no_nearest() -> None:
    ids = np.array([1]), np.array([1, 1]), np.array([3]), np.array([3, 3])
    ranking, found = rank_blocks(in_blocks(np.array([[0.1, 0.2]]), 1), *ids, 2)
    assert found.row.tolist() == [[-1, -1]]
    assert found.distance.tolist() == [[np.inf, np.inf]]
    assert ranking.first_match.tolist() == [0]


def test_keeping_the_nearest_leaves_the_ranking_as_it_is() -> None:
    rng = np.random.default_rng(6)
    distmat, ids = rng.random((30, 120)).round(1), random_ids(rng, 30, 120, 12, 3)
    alone, whole = rank_blocks(in_blocks(distmat, 7), *ids), rank_distances(distmat, *ids)
    beside, _ = rank_blocks(in_blocks(distmat, 11), *ids, 9)
    for ranking in (alone[0], beside):
        np.testing.assert_array_equal(ranking.average_precision, whole.average_precision)
        np.testing.assert_array_equal(ranking.first_match, whole.first_match)


# --- what is kept of it ----------------------------------------------------------------------------------------------


def test_rankings_and_features_are_kept_as_they_were_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    distmat, ids = rng.random((30, 120)), random_ids(rng, 30, 120, 12, 3)
    ranking, nearest = rank_blocks(in_blocks(distmat, 16), *ids, KEPT)
    write_ranking(tmp_path, 12, ranking, nearest)
    features = {split: rng.random((n, 8), np.float32) for split, n in (("query", 5), ("gallery", 9))}
    write_features(tmp_path, 12, features)
    expected = {
        "peer12.nearest.npy": (nearest.row, np.int32, (30, KEPT)),
        "peer12.distances.npy": (nearest.distance, np.float32, (30, KEPT)),
        "peer12.average_precision.npy": (ranking.average_precision, np.float64, (30,)),
        "peer12.query.npy": (features["query"], np.float32, (5, 8)),
        "peer12.gallery.npy": (features["gallery"], np.float32, (9, 8)),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(expected)
    for name, (array, dtype, shape) in expected.items():
        found = read_array(tmp_path / name)
        assert found.dtype == dtype
        assert found.shape == shape
        np.testing.assert_array_equal(found, array)


def test_a_small_gallery_keeps_the_shape(tmp_path: Path) -> None:
    nobody = Nearest(np.full((2, KEPT), -1, np.int32), np.full((2, KEPT), np.inf, np.float32))
    ids = np.array([1, 2]), np.array([1, 1, 1]), np.array([1, 1]), np.array([1, 2, 3])
    ranking, nearest = rank_blocks(in_blocks(np.array([[0.1, 0.3, 0.2], [0.3, 0.2, 0.1]]), 1), *ids, KEPT)
    write_ranking(tmp_path, 1, ranking, nearest)
    row, distance = (read_array(tmp_path / f"peer1.{name}.npy") for name in ("nearest", "distances"))
    assert row[:, :3].tolist() == [[2, 1, -1], [2, 1, 0]]
    np.testing.assert_array_equal(row[:, 3:], nobody.row[:, 3:])
    np.testing.assert_array_equal(distance[:, 3:], nobody.distance[:, 3:])
    assert np.isnan(read_array(tmp_path / "peer1.average_precision.npy")).tolist() == [False, True]


def test_accuracy_is_map_and_three_ranks() -> None:
    # first matches at ranks 1, 2, 5, 6 and 11; the last query has none
    found = Ranking(np.array([1, 0.5, 0.25, 0.125, 0.125, np.nan]), np.array([1, 2, 5, 6, 11, 0]))
    assert accuracy(found) == pytest.approx({"mAP": 0.4, "rank1": 0.2, "rank5": 0.6, "rank10": 0.8})


def test_without_labels_nothing_is_measured_and_neighbours_are_kept() -> None:
    distmat = np.array([[0.3, 0.1, 0.2]], np.float32)
    unknown = np.array([-1])
    # images whose identity is unknown are no matches of each other, nor are those of the query's camera left out
    for cameras in (np.arange(1, 4), np.zeros(3, int)):
        blocks = iter([(0, distmat)])
        ranking, nearest = rank_blocks(blocks, unknown, np.full(3, -1), np.array([0]), cameras, kept=2)
        assert np.isnan(ranking.average_precision).all()
        assert accuracy(ranking) == {}
        assert nearest.row.tolist() == [[1, 2]]


def test_no_query_is_no_figure() -> None:
    none = np.empty(0, np.int64)
    ranking, nearest = rank_blocks(iter([]), none, np.arange(3), none, np.arange(3), kept=4)
    assert not ranking.measured
    assert accuracy(ranking) == {}
    assert nearest.row.shape == nearest.distance.shape == (0, 4)
