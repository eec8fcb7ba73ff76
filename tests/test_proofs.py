"""commit, open and verify in a shell: exit codes, JSON, and files that lie."""

import io
import json
import os
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olsattention import Commitment, CommitmentError, Secret
from olsattention.models.command import main
from olsattention.models.commitments import decode_array
from olsattention.models.proofs import read_arrays

HEADS = {"a": np.arange(4.0), "b": np.ones((2, 3), np.float32), "é": np.array([1, 2])}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("heads.npz", **HEADS)
    return tmp_path


def said(capsys, *argv):
    """Exit code and JSON of a command."""
    code = main([*argv, "--json"])
    out = json.loads(capsys.readouterr().out)
    assert out["exit"] == code and out["command"] == argv[0]
    return code, out


def test_there_and_back(folder, capsys):
    code, out = said(capsys, "commit", "heads.npz", "-o", "run", "--context", "test")
    assert code == 0 and out["arrays"] == 3
    assert Commitment.load("run.commitment").digest.hex() == out["digest"]
    code, opened = said(capsys, "open", "run.secret", "é", "-o", "e.opening")
    assert code == 0 and opened["shape"] == [2]
    said(capsys, "open", "run.secret", "b", "-o", "b.opening")
    verify = (
        "verify",
        "run.commitment",
        "e.opening",
        "b.opening",
        "--digest",
        out["digest"],
    )
    assert said(capsys, *verify)[0] == 0
    wrong = out["digest"][:-1] + ("0" if out["digest"][-1] != "0" else "1")
    code, answer = said(capsys, "verify", "run.commitment", "e.opening", "--digest", wrong)
    assert code == 1 and answer["checked"] == {"digest": False, "e.opening": True}


def test_signatures(folder, capsys):
    key = Ed25519PrivateKey.generate()
    (folder / "key").write_bytes(key.private_bytes_raw())
    (folder / "public").write_bytes(key.public_key().public_bytes_raw())
    (folder / "other").write_bytes(
        Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    )
    assert said(capsys, "commit", "heads.npz", "-o", "run", "--key", "key")[0] == 0
    signed = ("verify", "run.commitment", "--signature", "run.signature", "--public-key")
    assert said(capsys, *signed, "public")[0] == 0
    assert said(capsys, *signed, "other")[0] == 1
    assert said(capsys, *signed, "heads.npz")[0] == 2
    assert said(capsys, *signed[:-1])[0] == 2


def test_what_cannot_be_checked(folder, capsys):
    said(capsys, "commit", "heads.npz", "-o", "run")
    (folder / "cut").write_bytes((folder / "run.commitment").read_bytes()[:40])
    (folder / "empty").write_bytes(b"")
    for argv, message in [
        (("verify", "nothing", "x"), "No such file"),
        (("verify", "cut", "x"), "ends early"),
        (("verify", "run.secret", "x"), "no commitment but a secret"),
        (("verify", "run.commitment", "run.commitment"), "no opening but a commitment"),
        (("verify", "run.commitment"), "nothing to check"),
        (("verify", "run.commitment", "--digest", "xyz"), "hexadecimal"),
        (("verify", "/dev/zero", "x"), "not an ordinary file"),
        (("open", "run.secret", "z", "-o", "z"), "no array is called 'z'"),
        (("open", "run.commitment", "a", "-o", "z"), "no secret but a commitment"),
        (("commit", "heads.npz", "-o", "run"), "exists already"),
        (("commit", "heads.npz", "-o", "no/folder/run"), "No such file"),
        (("commit", "empty", "-o", "z"), "holds no arrays"),
        (("commit", "run.secret", "-o", "z"), "holds no arrays"),
    ]:
        code, out = said(capsys, *argv)
        assert code == 2 and message in out["error"], out
    assert sorted(os.listdir()) == [
        "cut",
        "empty",
        "heads.npz",
        "run.commitment",
        "run.secret",
    ]


def test_all_files_or_none(folder, capsys):
    (folder / "run.commitment").write_bytes(b"in the way")
    assert said(capsys, "commit", "heads.npz", "-o", "run")[0] == 2
    assert sorted(os.listdir()) == ["heads.npz", "run.commitment"]


PROGRAM = "import sys; from olsattention.models.command import main; sys.exit(main())"


def test_a_process_of_its_own(folder, root):
    env = os.environ | {"PYTHONPATH": str(root)}

    def program(*argv):
        command = [sys.executable, "-c", PROGRAM, *argv]
        return subprocess.run(command, capture_output=True, text=True, env=env)

    done = program("commit", "heads.npz", "-o", "run")
    assert done.returncode == 0 and "digest: " in done.stdout
    done = program("verify", "heads.npz", "x")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("olsattention verify: this is no commitment")


# ---- a model and a text ------------------------------------------------------------------------------------


def saved_model(path, kind="Bert", seed=0):
    """A small model and a tokeniser of forty words, as transformers saves them."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {f"w{i}": i for i in range(40)} | {"?": 40}
    tokens = Tokenizer(models.WordLevel(words, unk_token="?"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokens).save_pretrained(path)
    sizes = {"vocab_size": 41, "hidden_size": 32, "intermediate_size": 40}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(**sizes)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = saved_model(tmp_path_factory.mktemp("model") / "small")
    (path / "text.txt").write_text(" ".join(f"w{i * i % 40}" for i in range(90)))
    return path


def test_a_model_and_a_text(model, folder, capsys):
    reads = (str(model), "--text", str(model / "text.txt"), "--length", "32")
    code, out = said(capsys, "commit", *reads, "-o", "run", "--gram")
    assert code == 0 and out["arrays"] == 16
    context = json.loads(Commitment.load("run.commitment").context)
    assert context["tokens"] == 90 and context["model"] == "small"
    arrays = {
        decode_array(c)[0]: decode_array(c)[1] for c in Secret.load("run.secret").encodings
    }
    for i in range(2):
        for j in range(4):
            K = arrays[f"layer {i}, head {j}, Gram"]
            mu = np.linalg.eigvalsh(K)[::-1]
            np.testing.assert_allclose(
                arrays[f"layer {i}, head {j}"], mu, atol=1e-12 * mu[0]
            )
    names = ["layer 0, head 1", "layer 1, head 3"]
    for k, name in enumerate(names):
        assert said(capsys, "open", "run.secret", name, "-o", f"{k}.opening")[0] == 0
    asked = ("verify", "run.commitment", "0.opening", "1.opening", "--model")
    code, out = said(capsys, *asked, *reads)
    assert code == 0 and len(out["checked"]) == 4
    assert said(capsys, *asked, *reads[:3])[0] == 0  # the length is in the context
    assert said(capsys, *asked, *reads[:3], "--length", "20")[0] == 1
    other = saved_model(folder / "other", seed=1)
    code, out = said(capsys, *asked, str(other), *reads[1:])
    assert (
        code == 1 and sum(out["checked"].values()) == 2
    )  # the openings hold, the model does not


def test_a_model_that_cannot_be_judged(model, folder, capsys):
    turned = saved_model(folder / "turned", "Llama")
    reads = (str(turned), "--text", str(model / "text.txt"))
    assert said(capsys, "commit", *reads, "-o", "run")[0] == 0
    assert said(capsys, "open", "run.secret", "layer 0, head 0", "-o", "o")[0] == 0
    code, out = said(capsys, "verify", "run.commitment", "o", "--model", *reads)
    assert code == 2 and "not the output of a linear map" in out["error"]


def test_what_a_model_needs(model, folder, capsys):
    text = str(model / "text.txt")
    (folder / "empty.txt").write_text("")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    said(capsys, "commit", "heads.npz", "-o", "run")
    said(capsys, "open", "run.secret", "a", "-o", "a.opening")
    before = sorted(os.listdir())
    for argv, message in [
        (("commit", str(model), "-o", "x"), "needs --text"),
        (("commit", "heads.npz", "--text", text, "-o", "x"), "no folder of a model"),
        (("commit", ".", "--text", text, "-o", "x"), "no config.json"),
        (("commit", str(model), "--text", "no.txt", "-o", "x"), "No such file"),
        (("commit", str(model), "--text", "latin.txt", "-o", "x"), "codec"),
        (("commit", str(model), "--text", "empty.txt", "-o", "x"), "holds no text"),
        (("commit", str(model), "--text", text, "--length", "1", "-o", "x"), "at least 2"),
        (("verify", "run.commitment", "--digest", "00", "--model", "m"), "go together"),
        (
            (
                "verify",
                "run.commitment",
                "a.opening",
                "--model",
                str(model),
                "--text",
                text,
            ),
            "no spectrum called 'a'",
        ),
    ]:
        code, out = said(capsys, *argv)
        assert code == 2 and message in out["error"], out
    assert sorted(os.listdir()) == before


def test_an_interrupt_leaves_no_file(folder, monkeypatch):
    import olsattention.models.proofs as module

    def stopped(self, path, **options):
        if str(path).endswith(".commitment"):
            raise KeyboardInterrupt
        return save(self, path, **options)

    save = Secret.save
    monkeypatch.setattr(module.Commitment, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        main(["commit", "heads.npz", "-o", "run"])
    assert os.listdir() == ["heads.npz"]


def test_links_are_not_written_through(folder, capsys):
    (folder / "elsewhere").write_bytes(b"precious")
    (folder / "run.commitment").symlink_to(folder / "elsewhere")
    code, out = said(capsys, "commit", "heads.npz", "-o", "run")
    assert code == 2 and "symbolic link" in out["error"]
    assert (folder / "elsewhere").read_bytes() == b"precious"
    assert not (folder / "run.secret").exists()


# ---- arrays from files -------------------------------------------------------------------------------------


def test_all_formats_agree(folder):
    np.save("a.npy", np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    (folder / "a.json").write_text('{"a": [[0, 1, 2], [3, 4, 5.0]]}')
    np.savez("a.npz", a=np.arange(6.0).reshape(2, 3))
    for name in ("a.npy", "a.json", "a.npz"):
        (array,) = read_arrays(name).values()
        assert np.array_equal(array, np.arange(6.0).reshape(2, 3))
    back = read_arrays("heads.npz")
    assert list(back) == list(HEADS) and all(
        np.array_equal(back[k], v) for k, v in HEADS.items()
    )


def npy(header, body=b""):
    header = header.encode() + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + body


@pytest.mark.parametrize(
    "data",
    [
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}"),
        npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", bytes(8)),
        npy("__import__('os').system('true')"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", bytes(9)),
        b"[1, 2]",
        b'{"a": 1, "a": 2}',
        b'{"a": "text"}',
        b'{"a": [[1], [1, 2]]}',
        b'{"a": [NaN]}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"PK\3\4 and nothing",
    ],
)
def test_files_that_lie(folder, capsys, data):
    (folder / "f").write_bytes(data)
    assert said(capsys, "commit", "f", "-o", "run")[0] == 2
    assert sorted(os.listdir()) == ["f", "heads.npz"]


def test_archives_that_swell_are_refused(folder):
    np.savez_compressed("zip.npz", a=np.zeros(10**6))
    with pytest.raises(CommitmentError, match="compressed"):
        read_arrays("zip.npz")
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        for _ in range(2):
            archive.writestr("a.npy", b"")
    (folder / "twice.npz").write_bytes(buffer.getvalue())
    with pytest.raises(CommitmentError, match="twice"):
        read_arrays("twice.npz")


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_damaged_files_never_give_a_traceback(folder, capsys, data):
    whole = (folder / "heads.npz").read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[position] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.booleans())
    (folder / "f.npz").write_bytes(whole[:position] if cut else bytes(changed))
    for path in folder.glob("out.*"):
        path.unlink()
    assert said(capsys, "commit", "f.npz", "-o", "out")[0] in (0, 2)
    if (folder / "out.secret").exists():
        Secret.load(folder / "out.secret")
