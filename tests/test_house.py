"""The house keeps its arrow: earlier rooms never import later ones, and the front door stays light."""

import ast
import io
import itertools
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "echomimic"
ROOMS = (
    {"arrays", "errors", "progress", "version", "variants", "option", "request", "keywords", "ranks"},
    {"media"},
    {"faces"},
    {"motion"},
    {"framing"},
    {"conditions"},
    {"provenance"},
    {"driving"},
    {"models"},
    {"diffusion", "preview"},
    {"engine"},
    {"flow"},
    {"live"},
    {"evaluate"},
    {"batch", "comfy", "studio"},
    {"cli"},
)
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms} | {"hub": 8.5, "__main__": 99}
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = ("echomimic", *path.relative_to(PACKAGE).parts)[: -node.level]
            names = [".".join((*above, *([node.module] if node.module else []), a.name)) for a in node.names]
        rooms |= {n.split(".")[1] for n in names if n.startswith("echomimic.")}
    return rooms & set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_room_imports_a_later_one(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert room in RANK, f"{room} has no place in the house: give it one in ROOMS"
    late = {r for r in imported_rooms(path) if RANK[r] > RANK[room] or (RANK[r] == RANK[room] and r != room)}
    beside = ROOMS[0] | {"hub"}
    assert not {r for r in late if not (RANK[r] == RANK[room] and r in beside)}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(path: Path) -> None:
    source = path.read_text()
    assert source.count("\n") <= 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < 45, f"{node.name} is too long"


@pytest.mark.parametrize("path", sorted((PACKAGE / "preview").rglob("*.py")), ids=lambda p: p.stem)
def test_what_the_preview_tunes_has_a_name(path: Path) -> None:
    """A number in the middle of a formula tells nobody what it does, or where it comes from."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    numbers = {
        (node.lineno, node.value)
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    }
    assert {place for place in numbers if place[1] not in (0, 0.5, 1, 2)} == set(), (
        "name it beside the others"
    )


def reasons_in(source: str) -> int:
    """Lines of comments, and of the texts below constants and fields."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    bodies = [getattr(node, "body", None) for node in ast.walk(ast.parse(source))]
    below = [
        text
        for body in bodies
        if isinstance(body, list)
        for named, text in itertools.pairwise(body)
        if isinstance(named, (ast.Assign, ast.AnnAssign)) and isinstance(text, ast.Expr)
        if isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    ]
    pragmas = re.compile("noqa|type: ignore|pragma|fmt:")
    comments = [t for t in tokens if t.type == tokenize.COMMENT and not pragmas.search(t.string)]
    return len(comments) + sum((text.end_lineno or 0) - text.lineno + 1 for text in below)


def test_the_house_reads_on_the_whole() -> None:
    """Half of the functions are as short as an idea, nine of ten fit a glance; what is not plain says why."""
    sources = [path.read_text() for path in FILES]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, kinds)
    )
    assert lengths[len(lengths) // 2] <= 7
    assert lengths[len(lengths) * 9 // 10] <= 18
    lines = sum(source.count("\n") for source in sources)
    assert sum(map(reasons_in, sources)) >= 0.02 * lines
    assert [line for source in sources for line in source.splitlines() if len(line) > 110] == []


def is_command(node: ast.stmt) -> bool:
    """Whether a function is a command of the terminal: those are named as the verbs of the package are."""
    called = [d.func if isinstance(d, ast.Call) else d for d in getattr(node, "decorator_list", ())]
    return any(isinstance(c, ast.Attribute) and c.attr in ("command", "group") for c in called)


def public_names(path: Path) -> set[str]:
    """Functions, classes and constants that a module defines, without those that begin with an underscore."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not is_command(node):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")} - {"main"}


def test_a_public_name_means_one_thing_in_the_whole_package() -> None:
    """Import it, or give it a name of its own; what only its own module uses begins with an underscore."""
    homes: dict[str, list[str]] = {}
    for path in FILES:
        for name in public_names(path):
            homes.setdefault(name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_a_file_name_stands_once_in_a_room() -> None:
    """The same name in two rooms is told apart by the room's;
    within a room, the folder below has to say it."""
    seen: dict[tuple[str, str], list[str]] = {}
    for path in FILES:
        if path.name not in ("__init__.py", "__main__.py"):
            place = path.relative_to(PACKAGE)
            seen.setdefault((place.parts[0], path.name), []).append(str(place))
    assert {key: places for key, places in seen.items() if len(places) > 1} == {}


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import echomimic", ("torch", "cv2", "onnxruntime", "av", "diffusers", "transformers", "numpy")),
        (
            "import echomimic.cli",
            ("torch", "cv2", "onnxruntime", "av", "diffusers", "transformers", "rich", "numpy"),
        ),
        (
            "import echomimic.flow, echomimic.preview.engine",
            ("diffusers", "transformers", "torch", "http.client"),
        ),
    ],
)
def test_light_imports(statement: str, heavy: tuple[str, ...]) -> None:
    code = f"{statement}; import sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_glossary_names_files_that_are_there() -> None:
    named = re.findall(r"`([\w/]+\.py)`", (PACKAGE.parent / "docs" / "glossary.md").read_text())
    assert len(named) > 40
    assert [name for name in named if not (PACKAGE / name).is_file()] == []


WRITES = re.compile(
    r"os\.(replace|rename)\(|\.(write_bytes|write_text|rename)\(|open\([^)]*[\"'](w|a|x|r\+|w\+)b?[\"']"
)
MAY_WRITE = {
    "media/output.py": "the one writer",
    "media/editable.py": "encodes in memory, and into the hidden file that a writer holds",
    "hub.py": "goes on with a partial download, and tells it by its digest",
    "batch/places.py": "fetches into its own cache",
    "studio/assets.py": "takes uploads into its own folder",
    "studio/home.py": "tries whether its own folder can be written",
    "studio/judge.py": "a pipe to its parent",
    "studio/voice.py": "a sound in memory",
    "cli/__init__.py": "standard output that is closed",
    "provenance/xmp.py": "adds to the hidden file that a writer holds",
    "provenance/signing.py": "writes the hidden files that a writer holds",
    "models/convert.py": "writes into the hidden folder that a writer holds",
    "provenance/identity.py": "keys are made with O_EXCL, so nothing is replaced",
}


def test_every_writer_goes_through_the_one_that_loses_nothing() -> None:
    writers = {str(p.relative_to(PACKAGE)) for p in FILES if WRITES.search(p.read_text())}
    assert writers <= MAY_WRITE.keys(), "use echomimic.media.output: claim, placed, write_whole"


def test_figures_of_half_precision_stand_on_one_page() -> None:
    """Two pages once gave two figures for one thing."""
    docs = PACKAGE.parent / "docs"
    pages = [
        p.name for p in docs.glob("*.md") if re.search(r"float16[^\n]*\d\d\.\d dB", p.read_text("utf-8"))
    ]
    assert pages == ["fidelity.md"]
