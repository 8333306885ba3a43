import guide


def test_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert guide.run("python") >= 7


def test_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert guide.run("python", guide.ROOT / "README.md") == 1
