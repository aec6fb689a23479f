"""How fast the parts are: prints a table and writes metrics/bench.csv.

Reads no data: inputs are drawn, of the size of the published sets, and every row runs in a process of its own. Rows
that are named after it are printed only. Machines differ, so that each row comes with the time of a yardstick, measured
just before it: compare seconds divided by it.
Example: python -m tools.bench --list
"""

if not __package__:
    raise SystemExit("error: run it from the project's top: python -m tools.bench")

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mutual.base.errors import InputError, run
from mutual.base.store import write_text
from mutual.datasets.checks import PUBLISHED, check_counts
from mutual.datasets.layouts import read_dataset
from mutual.datasets.packing import pack
from mutual.datasets.places import FOLDERS
from mutual.machine.processes import cpus
from stages.door import arguments
from tools import preset

TABLE = Path("metrics/bench.csv")
COLUMNS = ("row", "median_s", "smallest_s", "largest_s", "runs", "peak_mib", "yardstick_s", "note")
Timed = Iterator[tuple[float, str]]  # seconds of a run, and what is worth noting of it


def main() -> None:
    """No arguments: all rows. ``--list`` names them; ``--run ROW`` is what a row's own process is called with."""
    parser = arguments(__doc__, "tools.bench")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="these only, printed and not written")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--run", metavar="ROW", help=argparse.SUPPRESS)
    args = parser.parse_args()
    rows = benchmarks()
    if args.run:
        report_one(rows[args.run])
    elif args.list:
        print("\n".join(rows))
    else:
        for name in args.rows:
            if name not in rows:
                raise InputError(f"{name}: not a row: expected one of python -m tools.bench --list")
        table = measure(args.rows or list(rows))
        if not args.rows:
            write_text(TABLE, table)


def benchmarks() -> dict[str, Callable[[], Timed]]:
    """The rows by name, in the order of a run of the pipeline."""
    rows: dict[str, Callable[[], Timed]] = {"yardstick": yardstick}
    rows |= {f"start {stage}": partial(start, stage) for stage in STAGES}
    rows |= {f"prepare {name}": partial(prepare, name) for name in PUBLISHED}
    rows["training views"] = training_views
    for precision in ("fp32", "bf16"):
        rows[f"pre-training {precision}"] = partial(pretraining, precision)
        rows[f"iteration {precision}"] = partial(iteration, precision)
        rows[f"extraction {precision}"] = partial(extraction, precision)
    for method, teaching in ((method, teaching) for method, both in METHODS.items() for teaching in both):
        rows[f"iteration {method}{' with teachers' if teaching else ''}"] = partial(iteration_of, method, teaching)
    for layout in ("ours", "plain"):
        rows[f"few labels WRN-28-2 {layout}"] = partial(few_labels_classified, layout)
        rows[f"few labels DeepLab-v2 {layout}"] = partial(few_labels_segmented, layout)
    for count in (12936, 32621, 100000):
        rows[f"jaccard {count}"] = partial(jaccard, count)
    rows["neighbours"] = neighbours
    rows |= {"k-means": own_kmeans, "k-means of faiss": kmeans_of_faiss, "k-means of scikit-learn": their_kmeans}
    rows |= {"ranking market1501": ranking_market1501, "ranking msmt17": ranking_msmt17}
    return rows | {"dvc repro": partial(nothing_to_do, "repro"), "dvc status": partial(nothing_to_do, "status")}


def measure(names: list[str]) -> str:
    """Run the rows one after the other and print each as it comes: the table of them as CSV."""
    lines = [",".join(COLUMNS)]
    for name in names:
        reference = statistics.median(in_its_own_process("yardstick")["seconds"])
        found = in_its_own_process(name)
        seconds = found["seconds"]
        figures = [statistics.median(seconds), min(seconds), max(seconds)]
        cells = [name, *(f"{value:.4g}" for value in figures), str(len(seconds)), f"{found['peak_mib']:.0f}"]
        lines.append(",".join([*cells, f"{reference:.3f}", found["note"].replace(",", ";")]))
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def in_its_own_process(name: str) -> dict[str, Any]:
    """Run a row there, so that its memory is its own: seconds of each run, peak and note."""
    command = [sys.executable, "-m", "tools.bench", "--run", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise InputError(f"{name}: ended with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report_one(row: Callable[[], Timed]) -> None:
    """Run one row in this process; its figures as one line of JSON."""
    timed = list(row())
    print(json.dumps({"seconds": [s for s, _ in timed], "note": timed[-1][1], "peak_mib": peak_mib()}))


def peak_mib() -> float:
    """The most memory that this process or one of its own has held so far."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024


def held_mib() -> float:
    """Memory that this process holds now; 0 where the system does not say."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20 if status.exists() else 0.0


def yardstick() -> Timed:
    """A 4096 x 4096 x 4096 product in float32, five times."""
    import torch  # only this row needs it

    a, b = torch.rand(2, 4096, 4096).unbind()
    for _ in range(5):
        start = time.perf_counter()
        a @ b
        yield time.perf_counter() - start, f"{torch.get_num_threads()} threads"


# --- what a stage costs before its first useful work ------------------------------------------------------------------

STAGES = ("synthesize", "prepare", "pretrain", "extract", "cluster", "train", "evaluate", "report")


def start(stage: str) -> Timed:
    """A process that imports the stage and reads the parameters, five times."""
    read = f"import stages.{stage}; from mutual.base.params import read_params; read_params()"
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", read], check=True)
        yield time.perf_counter() - start, "imports and parameters"


# --- prepare at full size --------------------------------------------------------------------------------------------

CAMERAS = {"market1501": 6, "dukemtmc": 8, "msmt17": 15, "veri776": 20}
FILES = 64  # of their own; all others are links to them


def prepare(name: str) -> Timed:
    """Reading, decoding and packing as many small JPEGs as the published set has, as the stage does it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "raw"
        fake_dataset(root, name)
        start = time.perf_counter()
        splits = read_dataset(root, name).splits
        deviations = check_counts(name, splits, name)
        for split, index in splits.items():
            pack(root, index.file, Path(folder) / f"{split}.npy", 64, 32, cpus(), f"{name} {split}")
        seconds = time.perf_counter() - start
        packed = sum((Path(folder) / f"{split}.npy").stat().st_size for split in splits) / 2**20
    counts = " ".join(f"{split} {len(index)}" for split, index in splits.items())
    told = "; ".join(deviations) or "counts as published"
    yield seconds, f"{counts}; {told}; {packed:.0f} MiB packed"


def fake_dataset(root: Path, name: str) -> None:
    """A folder in the layout of the published set, with its numbers of images and identities and names like its own."""
    (root / "own").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(FILES):
        pixels = rng.integers(0, 256, (8, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((64, 128)).save(root / "own" / f"{number}.jpg", quality=90)
    for split, (images, pids) in PUBLISHED[name].items():
        lines = []
        for i in range(images):
            pid, camera = 1 + i % pids, 1 + i // pids % CAMERAS[name]
            if name == "msmt17":
                path = f"{pid:04d}/{pid:04d}_{i // pids:03d}_{camera:02d}_0303{split}_{i:06d}_0.jpg"
                lines.append(f"{path} {pid}\n")
                place = root / ("train" if split == "train" else "test") / path
            else:
                rest = {"market1501": f"s1_{i:06d}_00", "dukemtmc": f"_f{i:07d}", "veri776": f"_{i:08d}_0"}[name]
                place = root / FOLDERS[name][split] / f"{pid:04d}_c{camera}{rest}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(root / "own" / f"{i % FILES}.jpg", place)
        if name == "msmt17":
            (root / f"list_{split}.txt").write_text("".join(lines[: len(lines) - 1000 * (split == "train")]))
            if split == "train":
                (root / "list_val.txt").write_text("".join(lines[-1000:]))


# --- networks --------------------------------------------------------------------------------------------------------

ITERATIONS = 12
METHODS = {  # of mutual/refineries: whether to time it without, and with, mean teachers
    "hard_labels": [False],
    "mmt": [True],
    "self": [False, True],
    "core": [False, True],
    "coteaching": [False, True],
    "dmt": [False, True],
}
BATCH = {"cpu": 16, "cuda": 64}  # the presets' is 64, of which a CPU takes half a minute an iteration
HEIGHT, WIDTH = 256, 128


def gpu_memory() -> str:
    """The most memory that tensors of this process have taken on the GPU; empty where there is none."""
    import torch

    return f" with {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if torch.cuda.is_available() else ""


def training_views() -> Timed:
    """Batches of 64 flipped, cropped, normalised and half of them erased views of images of 256 x 128."""
    from mutual.images.views import training_views
    from mutual.machine.device import deterministic_device

    device = deterministic_device()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, HEIGHT, WIDTH, 3), np.uint8)
    views = partial(training_views, images, rng, padding=10, erase_probability=0.5, device=device)
    views()
    seconds = []
    for _ in range(200):
        start = time.perf_counter()
        float(views()[0, 0, 0, 0])  # waits for a GPU
        seconds.append(time.perf_counter() - start)
        yield seconds[-1], f"median {len(images) / statistics.median(seconds):.0f} views/s; on the {device.type}"


def iteration(precision: str) -> Timed:
    """Iterations of MMT with two ResNet-50 and their teachers, a batch of images of 256 x 128 each, 500 clusters."""
    from mutual.refineries.mmt import MutualMeanTeaching

    mmt = MutualMeanTeaching(alpha=0.999, soft_ce_weight=0.5, soft_tri_weight=0.8, label_smoothing=0.1)
    yield from iterations(mmt, "resnet50", precision, None, (HEIGHT, WIDTH), 500)


def iteration_of(method: str, teaching: bool) -> Timed:
    """Iterations of a method on the demo: two ResNet-18, with or without mean teachers, 64 images of 64 x 32."""
    from mutual.base.params import read_params
    from mutual.refineries.contract import find_refinery

    found = find_refinery(method)
    values = read_params().values(found.keys)
    refinery = found.of(values | ({"alpha": 0.95 if teaching else 0.0} if "alpha" in found.keys else {}))
    yield from iterations(refinery, "resnet18", "fp32", 64, (64, 32), 80)


def iterations(
    refinery: Any, backbone: str, precision: str, images: int | None, size: tuple[int, int], clusters: int
) -> Timed:
    """Iterations of a round of this refinery's with two networks; as many images as the device is given, or so many."""
    import torch

    from mutual.learning.adaptation import Round, for_training, shares_of_lr, step
    from mutual.learning.batches import Batch
    from mutual.machine.device import deterministic_device
    from mutual.machine.optimizers import Adam
    from mutual.networks.reid import ReidNetwork
    from mutual.refineries.contract import Targets

    device = deterministic_device()
    images = images or BATCH[device.type]
    torch.manual_seed(0)
    networks = [ReidNetwork(backbone, 1, precision=precision) for _ in range(4 if refinery.teaching else 2)]
    classes = torch.randn(clusters, networks[0].backbone.width, device=device)
    trained = [for_training(network, classes) for network in networks]
    students, teachers = trained[:2], trained[2:] or None
    optimizer = Adam(shares_of_lr(students, 3.5e-4, 1.0), weight_decay=5e-4, fused=True)
    views = [torch.randn(images, *size, 3, device=device).permute(0, 3, 1, 2) for _ in range(2)]
    rows = torch.arange(images, device=device)
    batch = Batch(rows, Targets(rows // 4), views)
    refinery.begin(1, (rows // 4).cpu().numpy(), lambda: [drawn_features(images)] * 2)
    within = Round(1, ITERATIONS, 0, clusters, 0.1)
    for i in range(ITERATIONS):
        start = time.perf_counter()
        float(step(refinery, students, teachers, batch, None, optimizer, i, within)[0])
        if i > 1:  # the first ones choose algorithms and fetch memory
            note = f"{backbone}; {images} images; on the {device.type}{gpu_memory()}"
            yield time.perf_counter() - start, note.replace("resnet", "ResNet-")


def pretraining(precision: str) -> Timed:
    """Iterations of pre-training a ResNet-50 of 702 identities, a batch of each set's images of 256 x 128."""
    import torch

    from mutual.learning.adaptation import for_training
    from mutual.learning.batches import Batch
    from mutual.learning.pretraining import train_step
    from mutual.machine.device import deterministic_device
    from mutual.machine.optimizers import Adam
    from mutual.networks.reid import ReidNetwork
    from mutual.refineries.contract import Targets

    device = deterministic_device()
    images = BATCH[device.type]
    torch.manual_seed(0)
    network = for_training(ReidNetwork("resnet50", 1, precision=precision), torch.randn(702, 2048, device=device))
    optimizer = Adam(network.parameters(), 3.5e-4, weight_decay=5e-4, fused=True)
    source, target = (torch.randn(images, HEIGHT, WIDTH, 3, device=device).permute(0, 3, 1, 2) for _ in range(2))
    rows = torch.arange(images, device=device)
    batch = Batch(rows, Targets(rows // 4), [source])
    for i in range(12):
        start = time.perf_counter()
        float(train_step(network, optimizer, batch, target, 0.1)[0])
        if i > 1:  # the first ones choose algorithms and fetch memory
            yield time.perf_counter() - start, f"ResNet-50; {images} images; on the {device.type}{gpu_memory()}"


def extraction(precision: str) -> Timed:
    """Features of 256 images of 256 x 128 by a ResNet-50."""
    from mutual.evaluation.features import extract
    from mutual.machine.device import deterministic_device
    from mutual.networks.reid import ReidNetwork, inference

    device = deterministic_device()
    network = inference(ReidNetwork("resnet50", 1, precision=precision).to(device))
    images = np.random.default_rng(0).integers(0, 256, (256, HEIGHT, WIDTH, 3), np.uint8)
    extract(network, images[:64], device, "extraction")  # the first ones choose algorithms and fetch memory
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        extract(network, images, device, "extraction")
        seconds.append(time.perf_counter() - start)
        yield seconds[-1], f"median {len(images) / statistics.median(seconds):.1f} images/s; on the {device.type}"


# --- few labels ------------------------------------------------------------------------------------------------------

IN_BATCH, OF_PEOPLE = 512, 64  # images of CIFAR-10's size, and how many of them have a true label
PICTURES, SIDE = {"cpu": 2, "cuda": 8}, 321  # the presets' is 8
FEWER = {"cpu": 5, "cuda": ITERATIONS}  # iterations


def few_labels_classified(layout: str) -> Timed:
    """Iterations of a phase of a WRN-28-2, views with it, weights by agreement; or as the authors lay them out."""
    from mutual.machine.device import deterministic_device
    from tools import bench_semi

    device = deterministic_device()
    iterations = bench_semi.classifier if layout == "ours" else bench_semi.plain_classifier
    told = f"WRN-28-2; {IN_BATCH} images; on the {device.type}"
    yield from each_of(iterations(IN_BATCH, OF_PEOPLE, device), FEWER[device.type], told)


def few_labels_segmented(layout: str) -> Timed:
    """The same of a DeepLab-v2 with ResNet-101, crops of 321 x 321 of pictures of VOC's size, 21 classes."""
    from mutual.machine.device import deterministic_device
    from tools import bench_semi

    device = deterministic_device()
    pictures = PICTURES[device.type]
    if layout == "ours":
        losses = bench_semi.segmenter(pictures, SIDE, "fp32", device)
    else:
        losses = bench_semi.plain_segmenter(pictures, SIDE, device)
    told = f"DeepLab-v2 with ResNet-101; {pictures} pictures; on the {device.type}"
    yield from each_of(losses, FEWER[device.type], told)


def each_of(losses: Iterator[Any], count: int, told: str) -> Timed:
    """Time so many iterations but for the first two, which choose algorithms and fetch memory."""
    for i in range(count):
        start = time.perf_counter()
        float(next(losses))
        if i > 1:
            yield time.perf_counter() - start, told + gpu_memory()


# --- clusters --------------------------------------------------------------------------------------------------------

DIMENSIONS = 2048
# people differ in a few respects, images of a person too, and by noise: a quarter of all pairs of 12,936 images have a
# Jaccard distance below 1
RESPECTS = 16
WITHIN, NOISE = 1.5, 1.0  # standard deviations; that between identities is 1


def drawn_features(count: int) -> np.ndarray:
    """(N, 2048) float32 of length 1, of N / 20 identities."""
    rng = np.random.default_rng(0)
    identities = rng.standard_normal((count // 20, RESPECTS), np.float32)
    shown = rng.standard_normal((RESPECTS, DIMENSIONS), np.float32) / np.float32(RESPECTS**0.5)
    features = np.empty((count, DIMENSIONS), np.float32)
    for first in range(0, count, 4096):
        block = features[first : first + 4096]
        rng.standard_normal(out=block, dtype=np.float32)
        block *= np.float32(NOISE)
        person = identities[rng.integers(len(identities), size=len(block))]
        block += (person + np.float32(WITHIN) * rng.standard_normal(person.shape, np.float32)) @ shown
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return features


def jaccard(count: int) -> Timed:
    """The k-reciprocal Jaccard distance of all pairs, then eps by the rule and DBSCAN, k1 20 and k2 6."""
    from mutual.clusters.density import dbscan
    from mutual.clusters.encodings import encodings
    from mutual.clusters.jaccard import jaccard_rows
    from mutual.clusters.neighbours import nearest
    from mutual.clusters.pairs import pairs_by_rule
    from mutual.clusters.sharing import STRANGERS, pairs_that_share
    from mutual.machine.device import deterministic_device

    device = deterministic_device()

    def clustered(features: np.ndarray) -> tuple[list[float], int, int]:
        times = [time.perf_counter()]
        found = nearest(features, 21, device)
        times.append(time.perf_counter())
        encoded = encodings(features, found, 20, 6)
        times.append(time.perf_counter())
        below = sum(int((block < 1).sum()) for _, block in jaccard_rows(encoded, len(features)))
        times.append(time.perf_counter())
        _, pairs = pairs_by_rule(pairs_that_share(encoded), len(features), 1.6e-3, STRANGERS)
        labels = dbscan(pairs, len(features), 4)
        times.append(time.perf_counter())
        return list(np.diff(times)), below, int(labels.max()) + 1

    clustered(drawn_features(500))  # what is compiled at first use
    features = drawn_features(count)
    held = held_mib()
    for _ in range(3 if count < 20000 else 1):
        (search, encoding, rows, dense), below, clusters = clustered(features)
        parts = f"neighbours {search:.2f} s; encodings {encoding:.2f} s; all distances {rows:.2f} s"
        told = f"{parts}; or with eps and DBSCAN {dense:.2f} s: {clusters} clusters; {below / count**2:.0%} below 1"
        yield search + encoding + dense, f"{told}; {peak_mib() - held:.0f} MiB above the features"


def neighbours() -> Timed:
    """The 21 nearest of each of 12,936 features and how far the farthest is; beside it Faiss's search, in turns."""
    import faiss

    from mutual.clusters.neighbours import nearest
    from mutual.machine.device import deterministic_device

    device, features = deterministic_device(), drawn_features(12936)
    theirs: list[list[float]] = []
    for _ in range(3):
        start = time.perf_counter()
        found = nearest(features, 21, device)
        seconds = time.perf_counter() - start
        times = [time.perf_counter()]
        _, index = faiss.knn(features, features, 21)
        times.append(time.perf_counter())
        # of unit vectors the farthest has the smallest inner product
        product, _ = faiss.knn(features, -features, 1, metric=faiss.METRIC_INNER_PRODUCT)
        times.append(time.perf_counter())
        theirs.append(np.diff(times).tolist())
        search, farthest = np.min(theirs, axis=0)
        same = float((index == found.index).mean())
        error = float(np.abs(2 + 2 * product[:, 0] - found.farthest).max())
        told = f"of faiss at best {search:.2f} s and {farthest:.2f} s more for the farthest"
        yield seconds, f"{told}; {same:.3%} of the lists the same; farthest within {error:.1g}; on the {device.type}"


def own_kmeans() -> Timed:
    """12,936 features into 500 clusters."""
    from mutual.clusters.kmeans import kmeans
    from mutual.machine.device import deterministic_device

    device, features, inertias = deterministic_device(), drawn_features(12936), []
    for seed in range(3):
        start = time.perf_counter()
        inertias.append(kmeans(features, 500, iterations=300, stream=np.random.default_rng(seed), device=device)[2])
        yield time.perf_counter() - start, f"inertia {', '.join(f'{each:.1f}' for each in inertias)}"


def kmeans_of_faiss() -> Timed:
    """The same features, as the authors' later public code clusters them."""
    from mutual.clusters.faiss_kmeans import faiss_kmeans

    features = drawn_features(12936)
    start = time.perf_counter()
    inertia = faiss_kmeans(features, 500, iterations=300, stream=np.random.default_rng(0))[2]
    yield time.perf_counter() - start, f"one start; inertia {inertia:.1f}"


def their_kmeans() -> Timed:
    """The same features, by the function of the authors' code with its ten starts."""
    from sklearn.cluster import KMeans

    features = drawn_features(12936)
    start = time.perf_counter()
    inertia = KMeans(500, n_init=10, random_state=0).fit(features).inertia_
    yield time.perf_counter() - start, f"ten starts; inertia {inertia:.1f}"


# --- evaluation ------------------------------------------------------------------------------------------------------


def ids(queries: int, gallery: int, pids: int, cameras: int) -> list[np.ndarray]:
    """Drawn pids and camids in the order that ranking takes them."""
    rng = np.random.default_rng(0)
    sizes = (pids, queries), (pids, gallery), (cameras, queries), (cameras, gallery)
    return [rng.integers(high, size=size) for high, size in sizes]


def ranking_market1501() -> Timed:
    """mAP and CMC from 3,368 x 19,732 distances."""
    from mutual.evaluation.ranking import rank_distances

    who = ids(3368, 19732, 750, 6)
    distmat = np.random.default_rng(0).random((3368, 19732), np.float32)
    distmat -= 0.5 * (who[0][:, None] == who[1])  # matches are nearer, some of them
    rank_distances(distmat[:2], who[0][:2], who[1], who[2][:2], who[3])
    for _ in range(5):
        start = time.perf_counter()
        found = rank_distances(distmat, *who)
        yield time.perf_counter() - start, f"mAP {found.mean_average_precision:.3f} of drawn distances"


def ranking_msmt17() -> Timed:
    """mAP and CMC from the features of 11,659 queries and 82,161 gallery images; distances in blocks."""
    from mutual.evaluation.ranking import euclidean, rank_blocks
    from mutual.machine.device import deterministic_device

    device = deterministic_device()
    features = drawn_features(11659 + 82161)
    query, gallery = features[:11659], features[11659:]
    query_pids, gallery_pids, query_camids, gallery_camids = ids(11659, 82161, 3060, 15)
    held = held_mib()
    start = time.perf_counter()
    blocks = euclidean(query, gallery, device)
    rank_blocks(blocks, query_pids, gallery_pids, query_camids, gallery_camids)
    seconds = time.perf_counter() - start
    yield seconds, f"with the distances; {held:.0f} MiB are features; {peak_mib() - held:.0f} MiB above"


# --- nothing to do ---------------------------------------------------------------------------------------------------


def nothing_to_do(command: str) -> Timed:
    """``dvc repro`` or ``dvc status`` of 40 rounds whose artefacts are all there: small files that stand for them."""
    from dvc.repo import Repo

    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(name, project / name)
        for name in ("demo", "mutual", "stages", ".dvc"):
            ignored = shutil.ignore_patterns("__pycache__", "cache", "tmp")
            shutil.copytree(name, project / name, ignore=ignored)
        for path, text in preset.texts("demo-long").items():
            write_text(project / path, text)

        subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
        with Repo(folder) as repo:
            stages = repo.index.stages
            for path in {item.fs_path for stage in stages for item in (*stage.outs, *stage.deps)}:
                if not Path(path).exists():
                    stand_in(Path(path))
        run_dvc(project, "commit", "--force")
        for _ in range(5):
            start = time.perf_counter()
            told = run_dvc(project, command)
            if "up to date" not in told:
                raise InputError(f"dvc {command}: expected nothing to do, got {told}")
            yield time.perf_counter() - start, f"{len(stages)} stages"


def stand_in(path: Path) -> None:
    """A small file, or a folder with one for what has no suffix."""
    place = path if path.suffix else path / "file"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(str(path.name))


def run_dvc(project: Path, *arguments: str) -> str:
    """What DVC prints, which must succeed, in a process of its own."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"dvc {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    run(main)
