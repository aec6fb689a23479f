"""What the page needs of another commit or experiment, brought from git and DVC's cache into a folder."""

from pathlib import Path

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException

from mutual.base.errors import InputError, one_line
from mutual.base.params import FIRST_ROUND, PARAMS_FILE, ROUNDS_FILE, read_rounds
from mutual.base.progress import Progress
from mutual.page.run import SPLITS
from stages import PACKED, RESULTS, RETRIEVAL


def fetched(rev: str, folder: Path) -> Path:
    """The folder, with the parameters, figures, ranked lists and index of ``rev`` where a project has them.

    Raises :class:`InputError` for a name that git does not know, and where the cache has lost an artefact.
    """
    try:
        files = DVCFileSystem(rev=rev)
        bring(files, rev, [PARAMS_FILE, ROUNDS_FILE], folder)
        rounds = [FIRST_ROUND, *read_rounds(folder / ROUNDS_FILE)]
        paths = [RESULTS / f"{name}.json" for name in rounds]
        paths += [PACKED / f"target/{split}.csv" for split in SPLITS]
        judged = RETRIEVAL / "last/clustering.json"  # which older versions do not have
        paths += [judged] if files.exists(judged.as_posix()) else []
        bring(files, rev, [*paths, *(RETRIEVAL / name for name in rounds)], folder)
    except DvcException as error:
        raise InputError(f"{rev}: {one_line(str(error))}") from None
    return folder


def bring(files: DVCFileSystem, rev: str, paths: list[Path], folder: Path) -> None:
    """Copy files and folders of a commit to the same places below a folder."""
    for path in Progress(paths, desc=f"from {rev}", unit="artefact"):
        (folder / path.parent).mkdir(parents=True, exist_ok=True)
        try:
            files.get(path.as_posix(), str(folder / path), recursive=files.isdir(path.as_posix()))
        except FileNotFoundError:
            raise InputError(f"{rev}: {path}: expected in git or in DVC's cache: dvc fetch, or run it again") from None
