from pathlib import Path

from tools import generate


def test_every_generated_file_is_what_the_code_makes_of_it_today():
    differing = generate.differing(generate.GENERATED, generate.ROOT)
    assert not differing, "outdated; run `make generate`"


def test_a_check_names_what_differs_fails_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "GENERATED", {"docs/a.md": lambda: "new\n"})
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == "docs/a.md: outdated; run `make generate`\n"
    assert list(tmp_path.iterdir()) == []


def test_what_was_generated_passes_the_check_until_it_is_edited(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "GENERATED", {"docs/a.md": lambda: "new\n"})
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    Path(tmp_path, "docs/a.md").write_text("edited\n")
    assert generate.main(["--check"]) == 1
