"""A hash of what work is made of: half of it may be gone on from where that is the same."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def made_of(values: Mapping[str, Any], inputs: Iterable[Path]) -> str:
    """A hash of parameters, of all files of ``inputs``, files or folders, and of the project's code that is loaded."""
    found = hashlib.blake2b(json.dumps(values, sort_keys=True, default=str).encode())
    top = Path(__file__).resolve().parents[2]
    code = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    ours = [path for path in code if path.suffix == ".py" and path.is_relative_to(top) and ".venv" not in path.parts]
    files = [each for path in inputs for each in ([path] if path.is_file() else path.rglob("*")) if each.is_file()]
    for path in [*sorted(ours), *sorted(files)]:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "blake2b").hexdigest()
        name = path.relative_to(top) if path.is_relative_to(top) else path
        found.update(f"{name} {digest}\n".encode())
    return found.hexdigest()
