"""The command line: light, honest about what goes wrong, and the same numbers as the library."""

import json
import os
import subprocess
import sys

import pytest
import torch

from olsattention.models import command

transformers = pytest.importorskip("transformers")
WORDS = [f"w{i}" for i in range(40)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A causal model with grouped heads and a tokeniser of forty words, as transformers saves them."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    path = tmp_path_factory.mktemp("model")
    words = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate([*WORDS, "?"])}, unk_token="?")
    )
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=41,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    text = path / "text.txt"
    text.write_text(" ".join(WORDS[i * i % 40] for i in range(300)))
    return path


def test_a_report_of_a_folder(folder, capsys, tmp_path):
    page = tmp_path / "page.html"
    given = ["report", str(folder), "--text", str(folder / "text.txt"), "--length", "32"]
    assert command.main([*given, "--json", "--repeats", "9", "--html", str(page)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["tokens read"] == 300 and len(answer["heads"]) == 8
    assert {row["tokens"] for row in answer["heads"]} == {300}
    assert all(row["duplicate"] is not None and row["p"] >= 0.1 for row in answer["heads"])
    written = page.read_text()
    assert answer["text sha256"] in written and "width=device-width" in written
    assert 'src="http' not in written and written.count("<img") == 6


def test_errors_are_one_line_and_an_exit_code(folder, capsys):
    empty = folder / "empty.txt"
    empty.write_text(" \n")
    one = folder / "one.txt"
    one.write_text("w1")
    page = str(folder / "no" / "page.html")
    for argv, message in (
        (["report", str(folder), "--text", str(empty)], "holds no text"),
        (["report", str(folder), "--text", str(one)], "fewer than two tokens"),
        (["report", str(folder), "--text", str(one), "--html", page], "no such folder"),
        (["report", str(folder / "no"), "--text", str(one)], "no config.json"),
        (["report", str(folder), "--text", str(folder / "no.txt")], "No such file"),
    ):
        assert command.main(argv) == 2
        errors = capsys.readouterr().err
        assert message in errors and errors.startswith("olsattention report: ")
    for argv in ([], ["reprot"], ["report"]):
        with pytest.raises(SystemExit) as stop:
            command.main(argv)
        assert stop.value.code == 2


def test_help_is_light(root):
    code = "import sys; from olsattention.models.command import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    env = os.environ | {"PYTHONPATH": str(root)}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env
    )
    assert "what every head of a model does" in said.stdout
    loaded = said.stdout.splitlines()[-1].split()
    assert not {"torch", "transformers", "matplotlib", "pandas"} & set(loaded)


@pytest.mark.browser
def test_the_page_fits_a_phone(folder, tmp_path, browser, capsys):
    page = tmp_path / "page.html"
    given = ["report", str(folder), "--text", str(folder / "text.txt"), "--length", "32"]
    assert command.main([*given, "--repeats", "9", "--html", str(page)]) == 0
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    tab, errors = context.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("requestfailed", lambda request: errors.append(request.url))
    tab.goto(page.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    loaded = "[...document.images].map(x => x.complete && x.naturalWidth > 0)"
    assert tab.evaluate(loaded) == [True] * 6
    widths = tab.evaluate("[...document.images].map(x => x.getBoundingClientRect().right)")
    assert max(widths) <= 390 and not errors
    tab.screenshot(path=tmp_path / "phone.png", full_page=True)
    context.close()
