"""Every mutant of the table fits the sources as they are; and a table that doesn't is told by the mutant's name."""

import os
import re
from pathlib import Path

import pytest
from mutants import HERE, ROOT, Problems, plant, planted, read

SOURCE = "func a() {\n  begin()\n  try sync()\n  end()\n}\n\nfunc b() {\n    try sync()\n}\n"


@pytest.fixture
def told(tmp_path):
    """What is wrong with a table beside SOURCE, or the source with its mutants."""
    def check(table: str, source: str = SOURCE):
        for folder in ("table", "Sources"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "Sources" / "a.swift").write_text(source)
        (tmp_path / "table" / "a.txt").write_text(table)
        try:
            return planted(read(tmp_path / "table"), tmp_path)["Sources/a.swift"]
        except Problems as error:
            return error.problems
    return check


def test_every_mutant_fits_the_sources():
    mutants = read()
    assert len(mutants) > 50
    planted(mutants)


def test_the_product_knows_of_no_mutant():
    found = [str(path.relative_to(ROOT)) for path in (ROOT / "Sources").rglob("*.swift")
             if re.search(r"\bmutated\(|\bMutant|MUTANTS", path.read_text())]
    assert found == []


def test_an_edit_changes_its_lines_at_their_indentation(told):
    text = told("mutant one\nbreaks R1\nin Sources/a.swift\n  begin()\n- try sync()\n+ if !mutated(.one) {\n+   try sync()\n+ }\n")
    assert text == SOURCE.replace("  try sync()\n  end", "  if !mutated(.one) {\n    try sync()\n  }\n  end")


def test_edits_side_by_side_and_insertions_at_one_place_keep_their_order(told):
    text = told("mutant one\nbreaks R1\nin Sources/a.swift\n  begin()\n+ if mutated(.one) { return }\n\n"
                "mutant two\nbreaks R1\nin Sources/a.swift\n  begin()\n+ if mutated(.two) { return }\n\n"
                "mutant three\nbreaks R1\nin Sources/a.swift\n- end()\n+ if !mutated(.three) { end() }\n")
    assert text == SOURCE.replace("begin()\n", "begin()\n  if mutated(.one) { return }\n  if mutated(.two) { return }\n").replace(
        "  end()", "  if !mutated(.three) { end() }")


def test_one_line_carries_two_mutants(told):
    text = told("mutant one\nbreaks R1\nin Sources/a.swift\n- end()\n+ if !mutated(.one) { mutated(.two) ? begin() : end() }\n\n"
                "mutant two\nbreaks R1\n")
    assert "  if !mutated(.one) { mutated(.two) ? begin() : end() }\n" in text


@pytest.mark.parametrize("edit, words", [
    ("in Sources/a.swift\n- gone()\n+ mutated(.one)", "one: Sources/a.swift has no longer the line\n    gone()"),
    ("in Sources/a.swift\n  begin()\n- end()\n+ mutated(.one)", "one: Sources/a.swift has these lines, but not one after the other"),
    ("in Sources/a.swift\n- try sync()\n+ mutated(.one)", "one: Sources/a.swift has this more than once (lines 3, 8)"),
    ("in Sources/b.swift\n- end()\n+ mutated(.one)", "one: Sources/b.swift is no file"),
    ("in Sources/a.swift\n- end()\n+ start()", "one: an edit of Sources/a.swift has no switch of it"),
    ("in Sources/a.swift\n- end()\n+ mutated(.one) || mutated(.two)", "one: mutated(.two) is no mutant of the table"),
    ("in Sources/a.swift\n+ mutated(.one)", "one: an edit of Sources/a.swift names no line that stands there"),
    ("in Sources/a.swift\n- end()\n+ mutated(.one)\n\nin Sources/a.swift\n- end()\n+ mutated(.one)",
     "one: changes line 4 of Sources/a.swift, and so does one: one edit must have both"),
    ("", "one: no edit has its switch"),
    ("nonsense", "a.txt:3: not a line of the table: nonsense"),
])
def test_what_does_not_fit_is_told_by_name(told, edit, words):
    problems = told(f"mutant one\nbreaks R1\n{edit}\n")
    assert any(problem.startswith(words) for problem in problems), problems


def test_a_mutant_says_what_it_breaks_and_stands_once(told):
    edit = "in Sources/a.swift\n- end()\n+ mutated(.one)\n"
    assert "one: doesn't say what it breaks" in told(f"mutant one\n{edit}")
    assert "one: stands more than once in the table" in told(f"mutant one\nbreaks R1\n{edit}\nmutant one\nbreaks R1\n{edit}")


def test_a_second_copy_leaves_alone_what_has_not_changed(tmp_path):
    root, target = tmp_path / "root", tmp_path / "copy"
    for name in ("Package.swift", "Sources/a.swift", "Sources/b.swift", "Tests/MillLogTests/c.swift"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"// {name}\n")
    assert plant(target, [], root) == 4 + 1 + len(list((HERE / "added").rglob("*.swift")))
    for path in target.rglob("*.swift"):
        os.utime(path, (1000, 1000))
    (root / "Sources/a.swift").write_text("// other\n")
    (root / "Sources/b.swift").unlink()
    assert plant(target, [], root) == 2
    assert {str(path.relative_to(target)) for path in target.rglob("*.swift") if path.stat().st_mtime != 1000} == {"Sources/a.swift"}
    assert not (target / "Sources/b.swift").exists()
