"""R25: every one-edit mutation of every shipped example is valid or refused with the key's name; no traceback."""

import random
import re
import tomllib
from importlib import resources

import pytest

pytest.importorskip("pydantic")

from edge_rnn.cli.main import main
from edge_rnn.daemon.config import Config, parse_config
from edge_rnn.errors import UsageError

EXAMPLES = sorted(
    (p for p in resources.files("edge_rnn.daemon").joinpath("examples").iterdir() if p.name.endswith(".toml")),
    key=lambda p: p.name,
)
KEY = re.compile(r"^([a-z_]+)( = )", re.M)


def outcome(text):
    """None when it is valid, else the complaint; anything but UsageError fails the test."""
    try:
        parse_config(text.encode())
    except UsageError as error:
        return str(error)
    return None


def key_edits(text):
    """(key, mutated key, text): a letter removed, doubled, swapped or replaced in each key."""
    for match in KEY.finditer(text):
        key, at = match[1], match.start(1)
        for i in range(len(key)):
            for new in (key[:i] + key[i + 1 :], key[:i] + key[i] + key[i:], key[:i] + "q" + key[i + 1 :],
                        key[:i] + key[i + 1 : i + 2] + key[i] + key[i + 2 :]):  # fmt: skip
                if new and new != key:
                    yield key, new, text[:at] + new + text[at + len(key) :]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_a_shipped_example_is_valid(example):
    assert outcome(example.read_text()) is None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_a_misspelt_key_is_refused_with_its_name_and_the_right_one(example):
    count = 0
    for key, new, text in key_edits(example.read_text()):
        said = outcome(text)
        assert said is not None, f"{new!r} for {key!r} was taken"
        assert re.search(rf"\b{re.escape(new)}\b", said), said
        if len(key) > 3:
            assert f'did you mean "{key}"' in said or "missing" in said, said
        count += 1
    assert count > 100


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_any_one_character_edit_is_valid_or_one_sentence(example):
    """Every deletion and a seeded insertion and replacement at every place."""
    text, rng = example.read_text(), random.Random(25)
    taken = refused = 0
    for at in range(len(text)):
        char = rng.choice("\0 \"'=[]#.-\\\n0x9é{}")
        for mutated in (text[:at] + text[at + 1 :], text[:at] + char + text[at:], text[:at] + char + text[at + 1 :]):
            said = outcome(mutated)
            taken, refused = taken + (said is None), refused + (said is not None)
            if said is not None:
                assert "\n" not in said.strip(), said
                assert "Traceback" not in said
    assert taken > 100
    assert refused > 100


VALUES = ["-1", "0", '""', '"x"', "true", "[]", "1e400", "nan", "{}", "1979-05-27", "[1]", str(1 << 70)]
VALUES.append('"' + "a" * 300 + '"')


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_a_wrong_value_is_refused_with_its_key(example):
    text = example.read_text()
    refused = 0
    for match in re.finditer(r"^([a-z_]+) = [^#\n]*", text, re.M):
        for value in VALUES:
            said = outcome(f"{text[: match.start()]}{match[1]} = {value}{text[match.end() :]}")
            if said is not None:
                refused += 1
                assert match[1] in said, said
    assert refused > 50


def test_bytes_that_are_not_toml_are_one_sentence():
    for blob in (b"\xff\xfe", b"[", b"a" * 10_000, b"[" * 20_000, b"x = " + b"[" * 20_000):
        with pytest.raises(UsageError, match="not TOML"):
            parse_config(blob)


def test_a_name_that_leads_nowhere_gets_a_suggestion():
    text = EXAMPLES[0].read_text().replace('source = "wrist"', 'source = "wirst"')
    assert 'has the source "wirst"' in (outcome(text) or "").replace("'", '"')
    assert 'did you mean "wrist"' in (outcome(text) or "")


def test_a_sinks_name_holds_no_password():
    config = parse_config(
        b'[[source]]\nid="a"\nurl="-"\n[[pipeline]]\nid="p"\nsource="a"\nmodel="m"\n'
        b'[[sink]]\nurl="mqtt://me:secret@host/top"\n'
    )
    assert config.sink[0].name == "mqtt://host/top"


def test_check_init_and_schema_from_the_command_line(tmp_path, capsys):
    path = tmp_path / "edge-rnn.toml"
    assert main(["config", "init", str(path)]) == 0
    assert main(["config", "init", str(path)]) == 2
    assert main(["config", "check", str(path)]) == 0
    path.write_text(path.read_text().replace("baud", "buad"))
    capsys.readouterr()
    assert main(["config", "check", str(path)]) == 2
    assert 'unknown key source[1].buad, did you mean "baud"?' in capsys.readouterr().err
    assert main(["config", "schema"]) == 0
    assert "spool_mb" in capsys.readouterr().out
    assert main(["config", "check", str(tmp_path / "none.toml")]) == 2


def test_the_rule_would_see_a_key_that_is_let_through():
    """The negative control: with unknown keys allowed, the mutations above would pass unseen."""
    loose = type("Loose", (Config,), {"model_config": {"extra": "ignore"}})
    text = EXAMPLES[0].read_text().replace("[device]", "[devise]")
    assert loose.model_validate(tomllib.loads(text)) is not None
    assert outcome(text) is not None
