"""mAP and CMC against the authors' values, a plain second implementation, and by hand."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mutual.evaluation.ranking import Ranking, euclidean, rank_blocks, rank_distances
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
    found = rank_blocks(blocks, *ids)
    # float32 swaps two images at most here and there
    assert found.mean_average_precision == pytest.approx(expected.mean_average_precision, abs=1e-4)
    assert np.mean(found.first_match == expected.first_match) > 0.99


def test_a_perfect_ranking_scores_one_everywhere() -> None:
    pids = np.array([1, 2, 3])
    distmat = 1 - np.eye(3)
    found = rank_distances(distmat, pids, pids, np.array([1, 1, 1]), np.array([2, 2, 2]))
    assert found.mean_average_precision == 1.0
    assert found.rank(1) == 1.0
