"""The published sets: PASCAL VOC 2012 (Everingham et al., IJCV 88, 2010) and Cityscapes (Cordts et al., CVPR 2016)."""

from pathlib import Path

from mutual.base.errors import InputError
from mutual.datasets.folders import content, sentences
from mutual.segmentation.entries import Entry, Sources, check_apart, existing_file, read_names

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip
CITYSCAPES_IDS = {  # of the published masks, in the order of the classes that are trained; all others are left out
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27,
    "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
CITYSCAPES_LAST_ID = 33
IMAGE_END, MASK_END = "_leftImg8bit.png", "_gtFine_labelIds.png"
SETS = "ImageSets/Segmentation"
MASKS, MORE_MASKS = (
    "SegmentationClass",
    "SegmentationClassAug",
)  # the second holds those of SBD (Hariharan et al., 2011)


def read_voc(root: Path) -> Sources:
    """VOC 2012 at ``root``, its VOC2012 or its VOCdevkit/VOC2012.

    ``trainaug`` instead of ``train`` where its list and SBD's masks are there; a picture that both sets label has VOC's
    own mask. The published ``val`` is for validation; the masks of its ``test`` are not public.
    """
    for base in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if (base / SETS).is_dir():
            break
    else:
        raise InputError(f"{root / SETS}: not found, but the layout voc2012 has it")
    more = (base / SETS / "trainaug.txt").is_file() and (base / MORE_MASKS).is_dir()
    lists = {"train": "trainaug" if more else "train", "validation": "val"}
    names = {split: read_names(base / SETS / f"{listed}.txt") for split, listed in lists.items()}
    check_apart(base, {**names})
    remarks = [] if more else [f"{MORE_MASKS}, {SETS}/trainaug.txt: not there: {SETS}/train.txt alone is read"]
    entries = {split: [_voc(base, name, f"{SETS}/{lists[split]}.txt") for name in names[split]] for split in lists}
    return Sources(entries["train"], entries["validation"], remarks=remarks)


def _voc(base: Path, name: str, listed: str) -> Entry:
    because = f"{listed} names it"
    image = existing_file(base / "JPEGImages" / f"{name}.jpg", because)
    mask = base / MASKS / f"{name}.png"
    if not mask.is_file() and (base / MORE_MASKS).is_dir():
        mask = base / MORE_MASKS / f"{name}.png"
    return Entry(f"JPEGImages/{name}.jpg", image, existing_file(mask, because))


def read_cityscapes(root: Path) -> Sources:
    """The finely labelled ``train`` and ``val``; the labels of ``test`` are not public."""
    splits, remarks = {}, []
    for split, folder in (("train", "leftImg8bit/train"), ("validation", "leftImg8bit/val")):
        if not (root / folder).is_dir():
            raise InputError(f"{root / folder}: not found, but the layout cityscapes has it")
        found = content(root, folder)
        images = [path for path in found.images if path.endswith(IMAGE_END)]
        others = {f"not named *{IMAGE_END}": [path for path in found.images if not path.endswith(IMAGE_END)]}
        remarks += [f"{folder}: left out: {line}" for line in sentences(others | found.left_out)]
        splits[split] = [_cityscapes(root, path) for path in images]
    return Sources(splits["train"], splits["validation"], remarks=remarks)


def _cityscapes(root: Path, path: str) -> Entry:
    mask = root / f"gtFine{path.removeprefix('leftImg8bit').removesuffix(IMAGE_END)}{MASK_END}"
    return Entry(path, root / path, existing_file(mask, f"{path} is there"))
