import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from edge_rnn.cli.main import app, main

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def commands(page):
    """The words of each `edge-rnn` line of a page's code blocks, fenced or indented."""
    text = page.read_text().replace("\\\n", " ")
    for line in re.findall(r"^(?: {4})?edge-rnn (.*)$", text, re.MULTILINE):
        words = shlex.split(line, comments=True)
        if words and not {"...", "|", "&"} & set(words):
            yield words


COMMANDS = [(page.name, words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_of_ours_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder with what `make demo` leaves for the README's examples."""
    from edge_rnn.export import export_bundle
    from edge_rnn.export.adapters import read_watch
    from edge_rnn.export.demo_stream import write_samples

    folder = tmp_path_factory.mktemp("readme")
    (folder / "demo").mkdir()
    models = Path(__file__).parent / "models"
    export_bundle(models / "watch_gru32.pt", folder / "demo" / "watch-int8.ernn", precision="int8", steps=100)
    write_samples(read_watch(), "9", folder / "demo" / "unseen.csv")
    return folder


def test_the_readme_example_runs_as_it_stands(demo, monkeypatch, capsys):
    monkeypatch.chdir(demo)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    told = capsys.readouterr().out
    assert told.count("Started(") >= 7
    assert told.count("Gap(") == 6, "the pauses between seven exercises"


def test_the_readme_run_tells_events_of_a_real_person_and_no_trouble(demo, monkeypatch, capsys):
    first = next(command for page, command in COMMANDS if page == "README.md")
    monkeypatch.chdir(demo)
    assert main(first) == 0
    out, err = capsys.readouterr()
    assert next(json.loads(line)["label"] for line in out.splitlines() if '"start"' in line) == "FEL"
    assert "edge-rnn:" not in err, "a warning"


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[" ".join([page, *words[:3]]) for page, words in COMMANDS])
def test_every_command_in_the_documents_has_options_that_exist(page, words):
    """The line is understood; nothing is run. A name in the place of a file need not be there."""
    command, words = typer.main.get_command(app), list(words)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("edge-rnn", words)


def test_a_command_that_does_not_exist_would_be_noticed():
    """The negative control."""
    command = typer.main.get_command(app).commands["run"]
    for words in (["M.ernn", "--sauce", "x.csv"], ["M.ernn"], ["M.ernn", "--source", "x.csv", "--reconnect", "soon"]):
        with pytest.raises(Exception, match=r"sauce|Missing parameter|valid number"):
            command.make_context("run", words)
