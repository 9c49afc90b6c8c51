"""The table of mutants, and the copy of the sources that has them all behind run-time switches.

A mutant is a planted mistake that the simulator must find. The product has none: the table (table/*.txt) says which lines become which,
and a switch in the new lines, mutated(.NAME), says when. Its lines:

    mutant NAME                   begins a mutant
    breaks TEXT                   the rule it breaks, and how
    seeds N                       how many seeds it may take until it is found; 2000 where nothing is said
    in PATH                       begins an edit of this file; a mutant has one or more
      LINE                        a line that stands there and stays: it tells two like places apart
    - LINE                        a line that stands there and goes
    + LINE                        a line that comes instead
    scaffold                      begins edits that aren't a mutant's: what the copy needs to be built, and to hunt

An edit ends with an empty line. Lines are compared without their indentation, and must follow one another in one place of the file.
Where two mutants change the same line, one edit has both switches. A line that begins with # is a comment.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# What the copy is made of; the simulator and the log's tests need no more.
COPIED = ("Package.swift", "Sources", "Tests/MillLogTests")
SEED_LIMIT = 2000
SWITCH = re.compile(r"\bmutated\(\.(\w+)\)")
GENERATED = "Sources/MillBase/Mutant.swift"


@dataclass
class Edit:
    path: str
    # (" ", "-" or "+", the line)
    lines: list[tuple[str, str]] = field(default_factory=list)

    @property
    def old(self) -> list[str]:
        return [line for sign, line in self.lines if sign != "+"]

    @property
    def switches(self) -> set[str]:
        return {name for sign, line in self.lines if sign == "+" for name in SWITCH.findall(line)}


@dataclass
class Mutant:
    name: str
    breaks: str = ""
    seeds: int = SEED_LIMIT
    edits: list[Edit] = field(default_factory=list)

    @property
    def is_scaffold(self) -> bool:
        return self.name == "scaffold"


class Problems(Exception):
    """What is wrong with the table, each with the mutant's name."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


def read(folder: Path = HERE / "table") -> list[Mutant]:
    """All mutants, and what "scaffold" begins as one of that name."""
    mutants, problems = [], []
    for path in sorted(folder.glob("*.txt")):
        edit = None
        for number, line in enumerate(path.read_text().splitlines(), 1):
            word, _, rest = line.partition(" ")
            if not line.strip():
                edit = None
            elif edit is not None and line[:2] in ("  ", "- ", "+ "):
                edit.lines.append((line[0], line[2:]))
            elif line.startswith("#"):
                pass
            elif word == "mutant" or line == "scaffold":
                mutants.append(Mutant(rest if rest else word))
            elif mutants and word == "breaks" and rest:
                mutants[-1].breaks = rest
            elif mutants and word == "seeds" and rest.isdigit():
                mutants[-1].seeds = int(rest)
            elif mutants and word == "in" and rest:
                edit = Edit(rest)
                mutants[-1].edits.append(edit)
            else:
                problems.append(f"{path.name}:{number}: not a line of the table: {line}")
    problems += contradictions(mutants)
    if problems:
        raise Problems(problems)
    return mutants


def contradictions(mutants: list[Mutant]) -> list[str]:
    """What can't be right whatever the sources are."""
    problems = []
    names = [mutant.name for mutant in mutants if not mutant.is_scaffold]
    placed = {name for mutant in mutants for edit in mutant.edits for name in edit.switches}
    for mutant in mutants:
        say = f"{mutant.name}: {{}}".format
        if not mutant.is_scaffold:
            if not re.fullmatch(r"[a-z]\w*", mutant.name):
                problems.append(say("not a name of a Swift case"))
            if names.count(mutant.name) > 1:
                problems.append(say("stands more than once in the table"))
            if not mutant.breaks:
                problems.append(say("doesn't say what it breaks"))
            if mutant.name not in placed:
                problems.append(say("no edit has its switch"))
        for edit in mutant.edits:
            if not mutant.is_scaffold and mutant.name not in edit.switches:
                problems.append(say(f"an edit of {edit.path} has no switch of it"))
            for name in sorted(edit.switches - set(names)):
                problems.append(say(f"mutated(.{name}) is no mutant of the table"))
            if not edit.old:
                problems.append(say(f"an edit of {edit.path} names no line that stands there"))
    return problems


def places(edit: Edit, lines: list[str]) -> list[int]:
    """Where the edit's old lines stand in the file: indexes of the first."""
    old = [line.strip() for line in edit.old]
    bare = [line.strip() for line in lines]
    return [index for index in range(len(bare) - len(old) + 1) if bare[index:index + len(old)] == old]


def missing(edit: Edit, lines: list[str]) -> str:
    """Why an edit has no place."""
    bare = {line.strip() for line in lines}
    gone = [line.strip() for line in edit.old if line.strip() not in bare]
    if gone:
        return f"{edit.path} has no longer the line\n    {gone[0]}"
    return f"{edit.path} has these lines, but not one after the other:\n" + "\n".join(f"    {line.strip()}" for line in edit.old)


def changes(edit: Edit, start: int, lines: list[str]) -> list[tuple[int, int, list[str]]]:
    """What the edit does to a file in which its old lines begin at `start`: (first, end, the lines instead), indexes of the file."""
    shift = indentation(lines[start]) - indentation(edit.old[0])
    found, at, is_open = [], start, False
    for sign, line in edit.lines:
        if sign == " ":
            at, is_open = at + 1, False
            continue
        if not is_open:
            found.append((at, at, []))
            is_open = True
        first, end, new = found[-1]
        if sign == "-":
            at += 1
            found[-1] = (first, at, new)
        else:
            new.append(" " * max(0, indentation(line) + shift) + line.strip())
    return found


def indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def planted(mutants: list[Mutant], root: Path = ROOT) -> dict[str, str]:
    """The files that edits change, as they are with all mutants in them."""
    problems, texts = [], {}
    by_path: dict[str, list[tuple[str, Edit]]] = {}
    for mutant in mutants:
        for edit in mutant.edits:
            by_path.setdefault(edit.path, []).append((mutant.name, edit))
    for path, edits in by_path.items():
        if not (root / path).is_file():
            problems += [f"{name}: {path} is no file" for name, _ in edits]
            continue
        lines = (root / path).read_text().split("\n")
        all_changes = []
        for name, edit in edits:
            found = places(edit, lines)
            if not found:
                problems.append(f"{name}: {missing(edit, lines)}")
            elif len(found) > 1:
                where = ", ".join(str(index + 1) for index in found)
                problems.append(f"{name}: {path} has this more than once (lines {where}); a line before or after tells which:\n"
                                + "\n".join(f"    {line.strip()}" for line in edit.old))
            else:
                all_changes += [(name, *change) for change in changes(edit, found[0], lines)]
        all_changes.sort(key=lambda change: (change[1], change[2]))
        for before, after in zip(all_changes, all_changes[1:]):
            if after[1] < before[2]:
                problems.append(f"{after[0]}: changes line {after[1] + 1} of {path}, and so does {before[0]}: one edit must have both")
        for _, first, end, new in reversed(all_changes):
            lines[first:end] = new
        texts[path] = "\n".join(lines)
    if problems:
        raise Problems(problems)
    return texts


def switches(mutants: list[Mutant]) -> str:
    """The file that lists the mutants for Swift."""
    real = [mutant for mutant in mutants if not mutant.is_scaffold]
    limits: dict[int, list[str]] = {}
    for mutant in real:
        if mutant.seeds != SEED_LIMIT:
            limits.setdefault(mutant.seeds, []).append(f".{mutant.name}")
    return "\n".join([
        "/// Planted mistakes that the simulator must find; Tests/Mutants has the table.",
        "package enum Mutant: String, CaseIterable, Sendable {",
        *(f"  /// {mutant.breaks}\n  case {mutant.name}" for mutant in real),
        "",
        "  /// Seeds that it may take until it is found.",
        "  package var seedLimit: UInt64 {",
        "    switch self {",
        *(f"    case {', '.join(names)}: {limit}" for limit, names in sorted(limits.items())),
        f"    default: {SEED_LIMIT}",
        "    }", "  }", "}", ""])


def plant(target: Path, mutants: list[Mutant], root: Path = ROOT, added: Path = HERE / "added") -> int:
    """Makes the copy at `target`; what has not changed there keeps its time, so that a build goes on where it stood.
    Returns how many files were written or removed."""
    texts = planted(mutants, root)
    wanted: dict[str, bytes] = {}
    for top in COPIED:
        for path in [root / top] if (root / top).is_file() else sorted((root / top).rglob("*")):
            if path.is_file():
                wanted[str(path.relative_to(root))] = path.read_bytes()
    for path in sorted(added.rglob("*.swift")):
        wanted[str(path.relative_to(added))] = path.read_bytes()
    wanted[GENERATED] = switches(mutants).encode()
    wanted.update({path: text.encode() for path, text in texts.items()})
    written = 0
    for name, content in wanted.items():
        path = target / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            written += 1
    for path in sorted(target.rglob("*")):
        if path.is_file() and str(path.relative_to(target)) not in wanted:
            path.unlink()
            written += 1
    return written
