"""What a stage's code stands on, read from its syntax: the project's files that it imports, the parameters it reads.

All paths are relative to the project's top, the current folder.
"""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from mutual.base.errors import InputError
from mutual.base.params import PARAMS_FILE, PLACES, Params, View, keys_of
from mutual.classification import params as classification
from mutual.noise import params as noise
from mutual.segmentation import params as segmentation

PACKAGES = ("demo", "mutual", "noisy", "semi", "stages", "tools")
# a file of parameters without views -> their form; it is read by the entry points beside it
FORMS: dict[Path, type[View]] = {
    noise.FILE: noise.NoisyParams,
    classification.FILE: classification.ClassificationParams,
    segmentation.FILE: segmentation.SegmentationParams,
}
REFINERIES = Path("mutual/refineries")


def syntax(file: Path) -> ast.Module:
    """The file, parsed, and not to be changed: most are asked for again and again."""
    return parsed(file.read_text(encoding="utf-8"))


@cache
def parsed(text: str) -> ast.Module:
    """A module's syntax."""
    return ast.parse(text)


def imported(file: Path) -> set[Path]:
    """The project's files that one file imports, wherever the import stands, or names, where they lie beside it."""
    modules: list[str] = []
    for node in ast.walk(syntax(file)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise InputError(f"{file}: expected imports by the whole name, found a relative one")
            modules += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = (Path(*module.split(".")).with_suffix(".py") for module in modules if module.split(".")[0] in PACKAGES)
    return {path for path in (*files, *beside(file)) if path.is_file()}


def beside(file: Path) -> set[Path]:
    """Files that are no code and lie beside a module that names them, such as the template that it fills."""
    texts = {node.value for node in ast.walk(syntax(file)) if isinstance(node, ast.Constant)}
    return {path for path in contents(file.parent) if path.suffix != ".py" and path.name in texts}


def closure(files: Iterable[Path]) -> set[Path]:
    """These files and all that they import, and what that imports, and so on."""
    seen, todo = set(files), list(files)
    while todo:
        fresh = imported(todo.pop()) - seen
        seen |= fresh
        todo += [file for file in fresh if file.suffix == ".py"]
    return seen


def refinery_files() -> set[Path]:
    """The files that hold a refinery; the others of the room are what refineries have in common."""
    return {file for file in REFINERIES.glob("*.py") if refinery_classes(file)}


def refinery_classes(file: Path) -> list[ast.ClassDef]:
    """The classes in it that call Refinery their base."""
    classes = [node for node in syntax(file).body if isinstance(node, ast.ClassDef)]
    return [node for node in classes if "Refinery" in map(ast.unparse, node.bases)]


def refinery_keys() -> set[str]:
    """The parameters that any refinery takes: its ``keys``."""
    keys: set[str] = set()
    for file in refinery_files():
        for node in (node for found in refinery_classes(file) for node in found.body):
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id == "keys":
                keys |= set(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    return keys


def chooses_refinery(entry: Path) -> bool:
    """Whether the file itself asks for a refinery by its name."""
    asked = [node for node in ast.walk(syntax(entry)) if isinstance(node, ast.ImportFrom)]
    return any(alias.name == "find_refinery" for node in asked for alias in node.names)


def code_of(entry: Path) -> set[Path]:
    """The files that an entry point runs, what its package does before it among them, but for a refinery it chooses."""
    packages = (folder / "__init__.py" for folder in entry.parents)
    return closure([entry, *(file for file in packages if file.is_file())])


def in_folders(files: set[Path]) -> list[str]:
    """Sorted; a folder in place of its files where they are all of them and it holds nothing else.

    Those ``__init__.py`` that no file is run for hold a docstring and no code: a folder may have one or not.
    """
    whole = {folder for folder in {file.parent for file in files} if set(contents(folder)) <= files}
    return sorted({str(file.parent if file.parent in whole else file) for file in files})


def contents(folder: Path) -> list[Path]:
    """What lies in a folder of code, but for ``__init__.py`` and what Python compiles."""
    return [path for path in folder.iterdir() if path.name not in ("__init__.py", "__pycache__")]


def params_file(entry: Path) -> Path:
    """The file that an entry point's parameters stand in."""
    return next((file for file in FORMS if file.parent == entry.parent), PARAMS_FILE)


def keys_of_file(file: Path) -> list[str]:
    """The keys of a file of parameters, in their order."""
    return list(FORMS[file].model_fields) if file in FORMS else list(PLACES)


def keys_read(entry: Path) -> set[str]:
    """The keys of its file of parameters that an entry point reads.

    Of ``params.<view>.<field>`` one, of a whole view all; of a file without views, ``params.<key>``.
    ``params.values(....keys)`` are those of a refinery. Raises :class:`InputError` where ``params`` is handed on whole.
    """
    keys: set[str] = set()
    nodes = list(ast.walk(syntax(entry)))
    above = {node.value: node for node in nodes if isinstance(node, ast.Attribute)}
    flat = FORMS.get(params_file(entry))
    for node in nodes:
        if not (isinstance(node, ast.Name) and node.id == "params" and isinstance(node.ctx, ast.Load)):
            continue
        part = above.get(node)
        view = part.attr if part else ""
        field = above[part].attr if part in above else ""
        if flat and view in flat.model_fields:
            keys.add(view)
        elif not flat and view == "values":
            keys |= refinery_keys()
        elif not flat and view == "running":
            pass  # no result depends on it
        elif not flat and view in Params.model_fields:
            known = keys_of(view)
            keys |= {known[field]} if field in known else set(known.values())
        else:
            known_views = flat.model_fields if flat else Params.model_fields
            expected = f"params.<{'key' if flat else 'view'}>, one of {', '.join(known_views)}"
            raise InputError(f"{entry}: line {node.lineno}: expected {expected}")
    return keys
