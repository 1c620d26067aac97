"""databases <- predictors <- metad2a, and in metad2a room by room: imports go one way, and never in a circle.

Files and functions stay short, or say why they do not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import metad2a
from databases import usual

ROOT = Path(__file__).parents[1]
FLOORS = ("databases", "predictors", "metad2a")
ROOMS = (  # of metad2a, from the bottom: a room imports those of the lines above it alone
    {"runtime", "train"},
    {"generate", "devices", "export", "supernets"},
    {"recommend"},
    {"search", "build", "retrain", "reports"},
    {"evaluate", "compare", "service"},
    {"reproduce"},
    {"cli"},
)
MLFLOW = {
    *("metad2a.runtime.tracking", "metad2a.runtime.mlflow_client", "metad2a.runtime.mlflow_models"),
    *("metad2a.export.served_network", "metad2a.retrain.served_meta_model"),  # run by MLflow, imported by none of ours
}
SPEAKING = {"metad2a", "metad2a.cli"}  # packages that are more than a name: the library,
SPEAKING |= {"metad2a.runtime.executors", "metad2a.search.controllers", "metad2a.reproduce"}  # and three registries
LINE = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
PATHS = {path: path.relative_to(ROOT).with_suffix("") for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
WRITTEN = [*PATHS, *(path for folder in ("scripts", "tests") for path in (ROOT / folder).rglob("*.py"))]
LINES, CODE = 300, 40  # of a file in all; of a function, without blank lines, comments and its docstring
REASON = "# long, since "  # begins the comment above a longer function
TRAINING = "metad2a/train/loop.py"  # takes the steps of all networks, but for
OWN_STEPS = {
    "metad2a/search/controllers/policy_gradient.py": "a policy waits for the scores of what it drew",
    "metad2a/supernets/passing_tests.py": "four optimisers go down gradients that are no loss's",
    "metad2a/supernets/instance.py": "the controller's step is inside of one of the graph's loop",
    "metad2a/reproduce/task_similarity/reduced_search.py": "two optimisers take turns",
    "scripts/throughput.py": "a plain loop, which the one loop is compared with",
}
TAKING_APART = {"startswith", "endswith", "removeprefix", "removesuffix"}
TAKEN_APART = {
    "metad2a/evaluate/evaluation_report.py": "lines of a table",
    "metad2a/evaluate/ablations.py": "statistics of one kind",
    "metad2a/reports/publish.py": "a heading that says how its column is aligned",
}
OF_ONE_SPACE = {
    "predictors/latency.py": "latencies are known of one space",
    "predictors/fine_tunings.py": "which records are of pipelines",
    "metad2a/reports/cell_svg.py": "draws the cells of one space",
    "metad2a/reproduce/nsganetv2/demonstration.py": "which records are of subnets",
    "metad2a/search/controllers/meta_prediction.py": "a predictor ranks the space that it learnt",
    "metad2a/search/controllers/warm_start.py": "a generator draws from the space that it learnt",
    "metad2a/service/records.py": "how many records a space has",
}
MODULES = {".".join(path.parts).removesuffix(".__init__"): given for given, path in PATHS.items()}


def imported(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that is imported: at once, inside of functions, and for types alone."""
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: a relative import"
        yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from ((node.lineno, alias.name) for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def arrows(module: str) -> list[tuple[str, str]]:
    """Where a module imports another of ours, and which."""
    path, found = MODULES[module], []
    for line, name in imported(tree(path)):
        target = name if name in MODULES else name.rpartition(".")[0]
        if target in MODULES and target != module:
            found.append((f"{path.relative_to(ROOT)}:{line}", target))
    return found


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "metad2a" and len(parts) > 1 and parts[1] != "__main__" else None


def test_floors_import_downwards() -> None:
    for module in MODULES:
        for where, target in arrows(module):
            ours, theirs = (FLOORS.index(each.partition(".")[0]) for each in (module, target))
            assert theirs <= ours, f"{where} imports {target}, which is a floor above"


def test_rooms_import_downwards_also_inside_functions() -> None:
    assert {room(each) for each in MODULES} - {None} <= set(LINE)
    for module in MODULES:
        for where, target in arrows(module):
            ours, theirs = room(module), room(target)
            if ours and theirs and ours != theirs:
                assert LINE[theirs] < LINE[ours], f"{where} imports {target}: {theirs} is not below {ours}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: {target for _, target in arrows(module)} for module in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)  # CycleError names the circle


def test_packages_define_nothing_and_the_library_hands_on_five_names() -> None:
    for module, path in MODULES.items():
        if path.name == "__init__.py" and module not in SPEAKING:
            assert len(tree(path).body) == 1, f"{path.relative_to(ROOT)}: what it defines belongs into a module"
    assert len(set(metad2a.__all__) - {"__version__"}) == 5


def test_nobody_asks_which_space_it_is_but_who_refuses_others() -> None:
    found = set()
    for path in PATHS:
        for node in ast.walk(tree(path)):
            asks = isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
            assert not asks or "FiniteSpace" not in ast.unparse(node) or path.name == "catalogue.py", path
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                sides = {ast.unparse(each) for each in (node.left, *node.comparators)}
                if any(each.split(".")[-1] == "space" or each.endswith("space.name") for each in sides):
                    found.add(path.relative_to(ROOT).as_posix())
    assert found == OF_ONE_SPACE.keys(), "what differs from space to space is a method; a name that can go goes"


def test_networks_and_supernets_know_no_space() -> None:
    for module in MODULES:
        if module.startswith(("databases.architectures.networks.", "databases.architectures.supernets.")):
            for where, target in arrows(module):
                known = target.startswith(("databases.architectures.space", "databases.architectures.decisions"))
                assert not known, f"{where} imports {target}"


def test_lower_floors_stay_silent_and_mlflow_is_left_to_tracking() -> None:
    for module, path in MODULES.items():
        packages = {name.partition(".")[0] for _, name in imported(tree(path))}
        assert "mlflow" not in packages or module in MLFLOW, f"{module} imports mlflow"
        for node in ast.walk(tree(path)):
            if not module.startswith("metad2a") and isinstance(node, ast.Call):
                assert getattr(node.func, "id", "") != "print", f"{path.relative_to(ROOT)}:{node.lineno} prints"


def test_files_are_put_in_place_by_the_one_writer() -> None:
    for path in [*PATHS, *(ROOT / "scripts").glob("*.py")]:
        for node in ast.walk(tree(path)):
            alone = isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.replace", "os.rename", "shutil.move"}
            told = "use `databases.files`, which has all on the disk first"
            assert not alone or path == ROOT / "databases" / "files.py", f"{path.relative_to(ROOT)}: {told}"


def steps(path: Path) -> list[int]:
    """The lines in which an optimiser or a schedule of torch's takes a step."""
    if all(name.partition(".")[0] != "torch" for _, name in imported(tree(path))):
        return []
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and not node.args]
    return [each.lineno for each in calls if isinstance(each.func, ast.Attribute) and each.func.attr == "step"]


def test_networks_learn_in_the_one_training_loop() -> None:
    ours = [path for path in WRITTEN if not path.is_relative_to(ROOT / "tests")]
    found = {path.relative_to(ROOT).as_posix(): steps(path) for path in ours}
    assert found.pop(TRAINING)
    strangers = {name: lines for name, lines in found.items() if lines and name not in OWN_STEPS}
    assert not strangers, f"{strangers}: hand a loss to {TRAINING}, or say in OWN_STEPS why not"
    assert all(found[name] for name in OWN_STEPS), "one that takes no steps any more can go"


def named_device(path: Path) -> Iterator[ast.arg | ast.AnnAssign]:
    """What is called ``device``, and says where torch computes."""
    for node in ast.walk(tree(path)):
        given: list[tuple[ast.arg | ast.AnnAssign, ast.expr | None]] = []
        if isinstance(node, ast.arguments):
            places = [*node.posonlyargs, *node.args]
            defaults = [None] * (len(places) - len(node.defaults)) + list(node.defaults)
            given = [*zip(places, defaults, strict=True), *zip(node.kwonlyargs, node.kw_defaults, strict=True)]
        elif isinstance(node, ast.AnnAssign):
            given = [(node, node.value)]
        for each, default in given:
            name = each.arg if isinstance(each, ast.arg) else ast.unparse(each.target)
            kind = ast.unparse(each.annotation) if each.annotation else ""
            if name == "device" and (kind == "torch.device" or (isinstance(default, ast.Constant) and default.value)):
                yield each


def test_a_device_is_where_a_network_will_run_and_what_trains_it_is_called_on() -> None:
    for path in PATHS:
        for each in named_device(path):
            raise AssertionError(f"{path.relative_to(ROOT)}:{each.lineno}: call it `on`, or `place` once it is torch's")


def test_figures_are_values_whose_names_are_not_taken_apart() -> None:
    rooms = {"evaluate", "compare", "retrain", "reports"}
    found = set()
    for module, path in MODULES.items():
        for node in ast.walk(tree(path)) if room(module) in rooms else ():
            if isinstance(node, ast.Attribute) and node.attr in TAKING_APART:
                found.add(path.relative_to(ROOT).as_posix())
    assert found == TAKEN_APART.keys(), "give figures as a dataclass; a name that can go goes"


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    said = range(docstring.lineno, (docstring.end_lineno or 0) + 1) if docstring else range(0)
    shown = ((number, lines[number - 1].strip()) for number in range(function.lineno, (function.end_lineno or 0) + 1))
    return sum(number not in said and bool(line) and not line.startswith("#") for number, line in shown)


def test_files_are_short_and_functions_are_or_say_why_not() -> None:
    for path in WRITTEN:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= LINES, f"{path.relative_to(ROOT)} has {len(lines)} lines"
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                top = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                excused = lines[top - 2].strip().startswith(REASON)
                long = code_lines(node, lines) > CODE
                told = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                assert not long or excused, f"{told}: {CODE} lines of code are allowed, or a reason: {REASON}..."
                assert long or not excused, f"{told} is not long: its comment can go"


def test_every_script_tells_what_it_does_before_it_does_anything() -> None:
    for path in (ROOT / "scripts").glob("*.py"):
        calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
        assert any(isinstance(each, ast.Attribute) and each.attr == "ArgumentParser" for each in calls), path.name


def defaults(path: Path) -> Iterator[tuple[str, ast.expr]]:
    """Names of parameters and fields, with what is typed as their default."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.arguments):
            places = [*node.posonlyargs, *node.args]
            pairs = [*zip(reversed(places), reversed(node.defaults), strict=False)]
            pairs += [(each, value) for each, value in zip(node.kwonlyargs, node.kw_defaults, strict=True) if value]
            yield from ((each.arg, value) for each, value in pairs)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield ast.unparse(node.target), node.value


def test_what_is_meant_where_nobody_says_is_typed_once() -> None:
    known: dict[str, set[object]] = {
        "space": {usual.DEFAULT_SPACE, usual.SEARCHED_SPACE},
        "searcher": {usual.DEFAULT_SEARCHER},
        "groups": {usual.AUTOMATIC},
        "augment": {usual.AUTOMATIC},
        "on": {usual.AUTOMATIC},
        "recipe": {usual.TRAINING_RECIPE, usual.MEASURING_RECIPE},
        "train": {usual.USUAL_TRAININGS},
        "top": {usual.LISTED, str(usual.LISTED)},
        "images_per_class": {usual.LOOKED_AT},
    }
    for path in PATHS:
        for name, given in defaults(path):
            typed: set[object] = {each.value for each in ast.walk(given) if isinstance(each, ast.Constant)}
            again = typed & known.get(name, set())
            assert not again, f"{path.relative_to(ROOT)}:{given.lineno}: take {name} from databases/usual.py"


def test_what_is_meant_where_nobody_says_has_one_name() -> None:
    known = {name for name, value in vars(usual).items() if name.isupper() and isinstance(value, str)}
    for path in PATHS:
        names = [each for each in ast.walk(tree(path)) if isinstance(each, ast.Name) and each.id in known]
        made = {each.id for each in names if isinstance(each.ctx, ast.Store)}
        assert not made or path == ROOT / "databases/usual.py", f"{path.relative_to(ROOT)}: import {made}"
