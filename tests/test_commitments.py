"""Commitments: published vectors, mutations of every byte, hostile files, and what the disk may do."""

import os
import resource
import signal
import stat
import struct
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from olsattention import (
    Commitment,
    CommitmentError,
    Opening,
    Secret,
    commit,
    open_,
    sign,
    verify,
    verify_signature,
)
from olsattention.models.commitments import (
    MAGIC,
    Signature,
    audit_path,
    decode_array,
    encode_array,
    leaf_hash,
    node_hash,
    root_from_path,
    tree_levels,
)

ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
ENTRIES = [bytes.fromhex(x) for x in [*ENTRIES, "606162636465666768696a6b6c6d6e6f"]]
ROOTS = {  # RFC 6962 implementations agree on these
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
SALT = bytes(range(32))
KINDS = [Commitment, Opening, Secret, Signature]


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    arrays = {
        f"layer {i}, head {j}": rng.gamma(2.0, size=6) for i in range(3) for j in range(3)
    }
    return commit(arrays, context="a test", salt=SALT)


# ---- the tree ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ROOTS)
def test_published_roots(size):
    levels = tree_levels([leaf_hash(x) for x in ENTRIES[:size]])
    assert levels[-1][0].hex() == ROOTS[size]


def naive(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return node_hash(naive(leaves[:k]), naive(leaves[k:]))


@pytest.mark.parametrize("size", [*range(1, 34), 63, 64, 65, 100])
def test_the_tree_and_every_path_agree_with_the_recursion(size):
    leaves = [leaf_hash(struct.pack("<I", i)) for i in range(size)]
    levels, root = tree_levels(leaves), naive(leaves)
    assert levels[-1][0] == root
    for i, leaf in enumerate(leaves):
        path = audit_path(levels, i)
        assert root_from_path(leaf, i, size, path) == root
        assert root_from_path(leaf, i, size, path + (root,)) is None
        assert root_from_path(leaf, size + i, size, path) is None
        if path:
            assert root_from_path(leaf, i, size, path[:-1]) is None


def test_a_changed_size_is_seen_although_the_tree_alone_does_not_see_it():
    blind = 0
    for size in range(1, 14):
        arrays = {f"{i:02}": [float(i)] for i in range(size)}
        commitment, secret = commit(arrays, salt=SALT)
        for name in arrays:
            opening = open_(secret, name)
            for other in range(40):
                if other == size:
                    continue
                changed = Opening(
                    opening.encoding, opening.index, other, opening.salt, opening.path
                )
                assert not verify(commitment, changed)
                blind += opening.index < other and (
                    root_from_path(
                        secret.levels[0][opening.index], opening.index, other, opening.path
                    )
                    == secret.levels[-1][0]
                )
                names = tuple(sorted(f"{i:02}" for i in range(other)))
                if names:  # a commitment file whose list of names fits the lie
                    lying = Commitment(commitment.digest, names, commitment.context)
                    assert not verify(lying, changed)
    assert blind > 0  # so that the test tests something


# ---- the encoding ------------------------------------------------------------------------------------------

FLOATS = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(NAMES, FLOATS)
def test_what_is_encoded_is_decoded(name, values):
    code = encode_array(name, values)
    back, array = decode_array(code)
    assert back == unicodedata.normalize("NFC", name)
    assert array.dtype == values.dtype and array.shape == values.shape
    assert np.array_equal(array, values)
    assert encode_array(back, array) == code


@given(NAMES, FLOATS)
def test_memory_and_byte_order_do_not_matter(name, values):
    code = encode_array(name, values)
    assert encode_array(name, values.copy(order="F")) == code
    assert encode_array(name, values.astype(values.dtype.newbyteorder(">"))) == code
    assert encode_array(name, torch.tensor(values)) == code
    wide = np.zeros((*values.shape, 2), values.dtype)
    wide[..., 1] = values
    assert encode_array(name, wide[..., 1]) == code


@given(NAMES, FLOATS, NAMES, FLOATS)
def test_different_arrays_have_different_encodings(s, a, t, b):
    same = unicodedata.normalize("NFC", s) == unicodedata.normalize("NFC", t)
    same = same and a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
    assert (encode_array(s, a) == encode_array(t, b)) == same


def test_widening_is_exact_and_said():
    half = torch.tensor([0.1, 2.0**-24], dtype=torch.float16)
    assert encode_array("x", half) == encode_array("x", half.float())
    brain = torch.tensor([0.1, 1e-40], dtype=torch.bfloat16)
    assert encode_array("x", brain) == encode_array("x", brain.float())
    assert encode_array("x", [1, 2]) == encode_array("x", [1.0, 2.0])
    assert encode_array("x", np.float32([0.0])) != encode_array("x", np.float64([0.0]))
    with pytest.raises(ValueError, match="2\\*\\*53"):
        encode_array("x", np.array([2**53 + 1]))
    with pytest.raises(ValueError, match="2\\*\\*53"):
        encode_array("x", torch.tensor([2**62 + 1]))


def test_flush_to_zero_changes_nothing():
    values = np.array([5e-324, -5e-324, 1e-310, -0.0])
    code = encode_array("x", values)
    assert torch.set_flush_denormal(True)
    try:
        assert encode_array("x", values) == code
        assert encode_array("x", torch.tensor(values)) == code
        assert (
            decode_array(code)[1].tobytes()
            == np.array([5e-324, -5e-324, 1e-310, 0.0]).tobytes()
        )
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_are_not_finite_are_named(bad, dtype):
    values = np.ones((2, 3), dtype)
    values[1, 2] = bad
    with pytest.raises(ValueError, match=r"'head' contains NaN or infinity at \(1, 2\)"):
        commit({"head": values})


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({}, TypeError, "at least one"),
        ([1.0], TypeError, "dict"),
        ({"": [1.0]}, ValueError, "empty"),
        ({3: [1.0]}, TypeError, "names must be text"),
        ({"\ud800": [1.0]}, ValueError, "not valid Unicode"),
        ({"é": [1.0], "e\u0301": [1.0]}, ValueError, "NFC"),
        ({"a": ["x"]}, TypeError, "a must hold real numbers"),
        ({"a": [1j]}, TypeError, "real numbers"),
        ({"a": None}, TypeError, "array of numbers"),
        ({"a": [2**53 + 1]}, ValueError, "which float64 would round"),
        ({"a": [[1.5], [-(2**60)]]}, ValueError, "which float64 would round"),
        ({"a": 2**70}, ValueError, "which float64 would round"),
        ({"a": np.array([2**63], np.uint64)}, ValueError, "which float64 would round"),
    ],
)
def test_bad_arrays(arrays, error, message):
    with pytest.raises(error, match=message):
        commit(arrays)


def test_bad_arguments(pair):
    commitment, secret = pair
    with pytest.raises(ValueError, match="32 bytes"):
        commit({"a": [1.0]}, salt=b"short")
    with pytest.raises(TypeError, match="context"):
        commit({"a": [1.0]}, context=3)
    with pytest.raises(ValueError, match="context"):
        commit({"a": [1.0]}, context="\ud800")
    with pytest.raises(KeyError, match="no array is called"):
        open_(secret, "layer 9, head 9")
    with pytest.raises(TypeError, match="Secret"):
        open_(commitment, "layer 0, head 0")
    with pytest.raises(TypeError, match="Opening"):
        verify(commitment, secret)


def test_the_order_of_the_dict_and_the_arrays_handed_in_do_not_matter(pair):
    commitment, secret = pair
    arrays = {decode_array(code)[0]: decode_array(code)[1] for code in secret.encodings}
    assert (
        commit(dict(reversed(arrays.items())), context="a test", salt=SALT)[0] == commitment
    )
    mine = {"a": np.array([-0.0, 1.0])}
    commit(mine)
    assert np.signbit(mine["a"][0])  # the caller's array is left alone


def test_secrets_keep_to_themselves(pair):
    _, secret = pair
    assert SALT.hex() not in repr(secret) and repr(SALT) not in repr(secret)
    opening = open_(secret, "layer 0, head 0")
    assert SALT not in opening.to_bytes()
    assert commit({"a": [1.0]})[0].digest != commit({"a": [1.0]})[0].digest


# ---- mutations: every byte of every file, every length, every index ----------------------------------------


def accepted(commitment, opening):
    """Whether the bytes of two files are accepted; malformed ones are not, and say so in the documented way."""
    try:
        return verify(Commitment.from_bytes(commitment), Opening.from_bytes(opening))
    except CommitmentError:
        return False


def mutations(data, rng, extra=0):
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            yield bytes(changed)
    for position in range(len(data)):
        yield data[:position]
        yield data[:position] + data[position + 1 :]
        yield data[:position] + b"\0" + data[position:]
        for width in (2, 4, 8):  # a number of so many bytes, wherever one may stand
            if position + width <= len(data):
                was = int.from_bytes(data[position : position + width], "little")
                top = 256**width - 1
                for value in (0, 1, was + 1, was - 1, top // 2, top):
                    raw = (value % (top + 1)).to_bytes(width, "little")
                    yield data[:position] + raw + data[position + width :]
    yield data + b"\0"
    for _ in range(extra):
        changed = bytearray(data)
        for position in rng.integers(len(data), size=rng.integers(2, 6)):
            changed[position] = rng.integers(256)
        yield bytes(changed)


def test_no_mutation_is_accepted(pair):
    commitment, secret = pair
    opening = open_(secret, "layer 1, head 2")
    public, shown = commitment.to_bytes(), opening.to_bytes()
    assert accepted(public, shown)
    rng = np.random.default_rng(1)
    of_opening = set(mutations(shown, rng, 4000)) - {shown}
    of_commitment = set(mutations(public, rng, 4000)) - {public}
    assert not any(accepted(public, changed) for changed in of_opening)
    assert not any(accepted(changed, shown) for changed in of_commitment)
    assert min(len(of_opening), len(of_commitment)) >= 10_000


def test_no_mutated_secret_is_read(pair):
    _, secret = pair
    data, rng = secret.to_bytes(), np.random.default_rng(2)
    assert Secret.from_bytes(data).to_bytes() == data
    for changed in mutations(data[:100], rng):
        changed = changed + data[100:]
        if changed != data:
            with pytest.raises(CommitmentError):
                Secret.from_bytes(changed)


def test_no_mutated_signature_is_accepted(pair):
    commitment, _ = pair
    key = b"\7" * 32
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(key).public_key()
    signature = sign(commitment, key)
    raw = public.public_bytes_raw()
    assert verify_signature(commitment, signature, public)
    assert verify_signature(commitment, signature, raw)
    data = signature.to_bytes()
    for changed in mutations(data, np.random.default_rng(3)):
        if changed != data:
            try:
                assert not verify_signature(
                    commitment, Signature.from_bytes(changed), public
                )
            except CommitmentError:
                pass
    for bit in range(256):
        digest = bytearray(commitment.digest)
        digest[bit // 8] ^= 1 << bit % 8
        other = Commitment(bytes(digest), commitment.names, commitment.context)
        assert not verify_signature(other, signature, public)
        other = bytearray(raw)
        other[bit // 8] ^= 1 << bit % 8
        assert not verify_signature(commitment, signature, bytes(other))
    with pytest.raises(TypeError, match="32 raw bytes"):
        sign(commitment, b"short")


def test_indices_salts_and_commitments_are_not_exchanged(pair):
    commitment, secret = pair
    openings = [open_(secret, name) for name in commitment.names]
    for a in openings:
        for b in openings:
            mixed = [
                Opening(a.encoding, b.index, a.size, a.salt, a.path),
                Opening(a.encoding, b.index, a.size, b.salt, b.path),
                Opening(a.encoding, a.index, a.size, b.salt, a.path),
                Opening(a.encoding, a.index, a.size, a.salt, b.path),
                Opening(b.encoding, a.index, a.size, a.salt, a.path),
            ]
            assert [verify(commitment, x) for x in mixed] == [a is b] * 5
    arrays = {decode_array(code)[0]: decode_array(code)[1] for code in secret.encodings}
    for other, _ in [
        commit(arrays, context="a test"),  # another salt
        (Commitment(commitment.digest, commitment.names, "another"), None),
        commit({**arrays, "z": [1.0]}, context="a test", salt=SALT),
    ]:
        assert not any(verify(other, x) for x in openings)


def test_a_name_used_twice_cannot_be_committed_to(pair):
    """A dishonest committer puts one name on two leaves: no list of names fits."""
    twice = Secret(SALT, (encode_array("a", [1.0]), encode_array("a", [2.0])))
    commitment = twice.commitment
    with pytest.raises(CommitmentError, match="order"):
        Commitment.from_bytes(commitment.to_bytes())
    with pytest.raises(CommitmentError, match="order"):
        Secret.from_bytes(twice.to_bytes())


# ---- hostile files -----------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(st.sampled_from(KINDS), st.binary(max_size=200), st.booleans())
def test_foreign_bytes_raise_the_documented_error(kind, data, disguised):
    letter = {Commitment: b"C", Opening: b"O", Secret: b"S", Signature: b"G"}[kind]
    data = MAGIC + letter + b"\1\0" + data if disguised else data
    try:
        item = kind.from_bytes(data)
    except CommitmentError:
        return
    assert item.to_bytes() == data  # what is read is canonical


@settings(max_examples=300)
@given(st.binary(max_size=120))
def test_foreign_encodings_raise_the_documented_error(data):
    for code in (data, b"\1\1\0\0\0a" + data):
        try:
            name, values = decode_array(code)
        except CommitmentError:
            continue
        assert encode_array(name, values) == code


@pytest.mark.parametrize(
    "shape", [(2**63, 2**63), (2**64 - 1,), (0, 2**64 - 1), (1,) * 200]
)
def test_claimed_shapes_reserve_nothing(shape):
    code = (
        b"\1\1\0\0\0a\x08" + struct.pack(f"<B{len(shape)}Q", len(shape), *shape) + bytes(8)
    )
    with pytest.raises(CommitmentError):
        decode_array(code)


@pytest.mark.parametrize("kind", KINDS)
def test_versions_from_the_future_and_other_kinds(kind, pair):
    letter = {Commitment: b"C", Opening: b"O", Secret: b"S", Signature: b"G"}[kind]
    with pytest.raises(CommitmentError, match="version 2; this package reads version 1"):
        kind.from_bytes(MAGIC + letter + b"\2\0" + bytes(100))
    for other in b"COSG".replace(letter, b""):
        with pytest.raises(CommitmentError, match="is no"):
            kind.from_bytes(MAGIC + bytes([other]) + b"\1\0" + bytes(100))
    with pytest.raises(CommitmentError, match="unknown kind"):
        kind.from_bytes(MAGIC + b"?\1\0")


# ---- the disk ----------------------------------------------------------------------------------------------


def test_files_are_complete_or_absent(pair, tmp_path):
    commitment, secret = pair
    commitment.save(tmp_path / "c")
    secret.save(tmp_path / "s")
    assert Commitment.load(tmp_path / "c") == commitment
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError, match="overwrite=True"):
        commitment.save(tmp_path / "s")
    assert Secret.load(tmp_path / "s").to_bytes() == secret.to_bytes()
    commitment.save(tmp_path / "c", overwrite=True)
    with pytest.raises(OSError):
        commitment.save(tmp_path / "no such folder" / "c")
    assert sorted(os.listdir(tmp_path)) == ["c", "s"]


def test_links_and_devices(pair, tmp_path):
    commitment, _ = pair
    commitment.save(tmp_path / "c")
    (tmp_path / "link").symlink_to(tmp_path / "c")
    before = (tmp_path / "c").read_bytes()
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="symbolic link"):
            commitment.save(tmp_path / "link", overwrite=overwrite)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="symbolic link"):
        commitment.save(tmp_path / "dangling")
    assert (tmp_path / "c").read_bytes() == before and not (tmp_path / "nowhere").exists()
    assert Commitment.load(tmp_path / "link") == commitment  # reading follows
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(CommitmentError, match="not an ordinary file"):
            Commitment.load(path)
    with pytest.raises(OSError):
        Commitment.load(tmp_path)


LIMITED = """
import resource, signal, sys
from olsattention import commit
commitment, secret = commit({"a": [0.0] * 10000})
commitment.save(sys.argv[1] + "/c")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for overwrite, name in [(False, "/s"), (True, "/c")]:
    try:
        secret.save(sys.argv[1] + name, overwrite=overwrite)
        sys.exit(1)
    except OSError:
        pass
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limits of file sizes")
def test_a_disk_that_fills_up_leaves_nothing_half_written(tmp_path):
    assert signal.SIGXFSZ
    subprocess.run([sys.executable, "-c", LIMITED, tmp_path], check=True)
    assert os.listdir(tmp_path) == ["c"]
    Commitment.load(
        tmp_path / "c"
    )  # the one that was there, not the half that would replace it


INTERRUPTED = """
import os, sys
from olsattention import commit
import olsattention.models.commitments as module
commitment, secret = commit({"a": [0.0] * 100})
real = os.fsync
def interrupt(handle):
    real(handle)
    os.kill(os.getpid(), 2)
os.fsync = interrupt
commitment.save(sys.argv[1] + "/c")
"""


def test_an_interrupt_leaves_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, tmp_path], capture_output=True
    )
    assert done.returncode and b"KeyboardInterrupt" in done.stderr
    assert os.listdir(tmp_path) == []


def test_truncated_files(pair, tmp_path):
    commitment, secret = pair
    for item in (commitment, secret, open_(secret, "layer 0, head 0")):
        data = item.to_bytes()
        for end in range(0, len(data), 7):
            (tmp_path / "f").write_bytes(data[:end])
            with pytest.raises(CommitmentError):
                type(item).load(tmp_path / "f")
