# Written by `make export` from the chapters: edit those, not this.
from __future__ import annotations
from typing import Any
import errno
import hashlib
import hmac
import math
import os
import secrets
import stat
import struct
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self
import array_api_compat
import numpy as np
from fastcore.basics import patch
from ..arrays import AnyArray, Numpy, as_floats, to_numpy
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
__all__ = ['CommitmentError', 'encode_array', 'decode_array', 'leaf_hash', 'node_hash', 'tree_levels', 'audit_path', 'root_from_path', 'Stored', 'Commitment', 'Opening', 'Secret', 'Signature', 'commit', 'open_', 'verify', 'sign', 'verify_signature']

class CommitmentError(ValueError):
    """A commitment, an opening or a secret is malformed: truncated, foreign, of a later version, or not canonical."""
WORDS = {4: ('<u4', 2139095040), 8: ('<u8', 9218868437227405312)}

def canonical_bits(array, name):
    """The bits of finite floats (..., ) as little-endian integers in C order; the sign of a zero is dropped.

    No floating-point instruction touches them, so that modes of the processor do not matter.
    """

def canonical_name(name):
    """A name in Unicode's form NFC, as UTF-8 bytes."""

def encode_array(name: str, values: AnyArray | float) -> bytes:
    """The canonical encoding (11.1) of one named array.

    Parameters
    ----------
    name : str
    values : array, tensor or list of any shape
        Finite numbers. Single and double precision are kept apart; halves widen to single and integers to double, exactly.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError, ValueError
        On names that are no text, and on values that are not finite, not real, or integers that double precision cannot hold.
    """

class Reader:
    """Bytes taken from the front; a length is compared with what is left before anything is taken."""

    def __init__(self, data, what):
        ...

    def take(self, count):
        ...

    def number(self, width):
        ...

    def field(self):
        ...

    def fields(self, least=8):
        ...

    def end(self):
        ...

def field(data):
    """Bytes behind their length."""

def fields(items):
    """Several fields behind their number."""

def decode_name(data, what='encoding'):
    """The name in an encoding (11.1), and the reader behind it."""

def decode_array(data: bytes) -> tuple[str, Numpy]:
    """The inverse of `encode_array`.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    name : str
    values : array
        float32 or float64.

    Raises
    ------
    CommitmentError
        If these are not the bytes that `encode_array` writes for some array.
    """

def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf in (11.2)."""

def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees in (11.2)."""

def tree_levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """All levels of the Merkle tree (11.2), from the hashes of its leaves to its root.

    Parameters
    ----------
    leaves : sequence of bytes
        Hashes of the leaves, at least one.

    Returns
    -------
    list of list of bytes
        ``levels[-1][0]`` is the root.
    """

def audit_path(levels: Sequence[Sequence[bytes]], index: int) -> tuple[bytes, ...]:
    """The hashes beside the way from a leaf to the root: what it takes to compute the root from the leaf."""

def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its audit path lead to, or None if no tree of this size has such a path."""
LEAF = b'olsattention/leaf/1\x00'
SALT = b'olsattention/salt/1\x00'
ROOT = b'olsattention/root/1\x00'
SIGNED = b'olsattention/signature/1\x00'

def salted_leaf(salt, encoding):
    """The hash of a leaf of (11.3)."""

def salt_of(salt, index):
    """The salt of one leaf in (11.3)."""

def digest_of(root, size, names_digest, context):
    """The commitment (11.3)."""

def as_context(context):
    """Validate a context."""

class Stored:
    """What can be kept in a file: `to_bytes`, `from_bytes`, `save`, `load`."""

    def to_bytes(self) -> bytes:
        """The content of the file.

    Returns
    -------
    bytes
    """

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`.

    Parameters
    ----------
    data : bytes

    Raises
    ------
    CommitmentError
        If these are not the bytes of such a thing.
    """

    def save(self, path: str | os.PathLike[str], *, overwrite: bool=False) -> None:
        """Write to a file, completely or not at all.

    Parameters
    ----------
    path : path
    overwrite : bool
        Whether an existing file may be replaced. A symbolic link is refused in any case.

    Raises
    ------
    OSError
        If the file exists or cannot be written; nothing is left behind.
    """

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read from a file.

    Parameters
    ----------
    path : path

    Raises
    ------
    CommitmentError
        If the file is truncated, damaged, of another kind or of a later version.
    OSError
        If it cannot be read.
    """

@dataclass(frozen=True)
class Commitment(Stored):
    """The public half: 32 bytes that bind, the names of what they bind, and a context.

    Parameters
    ----------
    digest : bytes
        (11.3); publish `commitment.digest.hex()` where it cannot be changed later.
    names : tuple of str
        In the order of the tree, which is that of their UTF-8 bytes.
    context : str
        What was measured: model, data, settings.
    """
    digest: bytes
    names: tuple[str, ...]
    context: str = ''

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each name stands in the tree."""

    @cached_property
    def names_digest(self) -> bytes:
        """The hash of all names, N in (11.3)."""

    def __repr__(self) -> str:
        ...

@dataclass(frozen=True, eq=False)
class Opening(Stored):
    """One array of a commitment, with what it takes to check that it is the one that was fixed."""
    encoding: bytes
    index: int
    size: int
    salt: bytes
    path: tuple[bytes, ...]

    @cached_property
    def name(self) -> str:
        """The name of the array."""

    @cached_property
    def values(self) -> Numpy:
        """The array itself."""

    def __repr__(self) -> str:
        ...

@dataclass(frozen=True, eq=False)
class Secret(Stored):
    """The private half: the salt and the arrays. Whoever has it can open everything; lose it and nothing can be opened."""
    salt: bytes
    encodings: tuple[bytes, ...]
    context: str = ''

    @cached_property
    def levels(self) -> list[list[bytes]]:
        """The Merkle tree of the salted leaves."""

    @cached_property
    def commitment(self) -> Commitment:
        """The public half."""

    def __repr__(self) -> str:
        ...

@dataclass(frozen=True)
class Signature(Stored):
    """An Ed25519 signature of a commitment, 64 bytes."""
    signature: bytes

def commit(arrays: Mapping[str, AnyArray | float], *, context: str='', salt: bytes | None=None) -> tuple[Commitment, Secret]:
    """Commit to named arrays (11.3).

    Parameters
    ----------
    arrays : dict of str to array
        Spectra, or whatever else is to be fixed: finite numbers of any shape.
    context : str
        A text that is bound too, and public: model, data, settings.
    salt : bytes, optional
        32 bytes nobody can guess. Drawn from the operating system unless given; give it only to repeat a commitment.

    Returns
    -------
    commitment : Commitment
        To publish.
    secret : Secret
        To keep.

    Raises
    ------
    TypeError, ValueError
        On no arrays, names that are equal in form NFC, values that are not finite, or a salt that is not 32 bytes.
    """

def open_(secret: Secret, name: str) -> Opening:
    """Open one array of a commitment and leave the others closed.

    Parameters
    ----------
    secret : Secret
    name : str

    Returns
    -------
    Opening
        To hand to whoever holds the commitment.

    Raises
    ------
    KeyError
        If the commitment has no array of that name.
    """

def verify(commitment: Commitment, opening: Opening) -> bool:
    """Check that an opened array is the one that was committed to.

    Parameters
    ----------
    commitment : Commitment
        Whose digest you received earlier, on a way that you trust.
    opening : Opening

    Returns
    -------
    bool
        True only if name, numbers, precision, shape, position and number of arrays are those that were fixed.

    Raises
    ------
    CommitmentError
        If the opening does not hold an array at all.
    """
MAGIC = b'olsattention\x00'
KINDS = {b'C': 'a commitment', b'O': 'an opening', b'S': 'a secret', b'G': 'a signature'}

def pack(kind, *parts):
    """A file: magic word, kind, version 1, parts."""

def unpack(data, kind, what):
    """A reader behind the head of a file, which must be of the wanted kind."""

def text_of(data, what):
    """UTF-8 bytes as text."""

def write_commitment(item):
    ...

def read_commitment(data):
    ...

def write_opening(item):
    ...

def read_opening(data):
    ...

def write_secret(item):
    ...

def read_secret(data):
    ...

def write_signature(item):
    ...

def read_signature(data):
    ...
FORMATS: Any

def write_atomically(path, data, *, overwrite=False, private=False):
    """Bytes into a file that appears complete or not at all."""

def read_regular(path):
    """The bytes of an ordinary file; devices and pipes, which may never end, are refused."""

def _ed25519():
    ...

def _key_of(key, kind, what):
    ...

def sign(commitment: Commitment, private_key: bytes | Ed25519PrivateKey) -> Signature:
    """Sign a commitment with Ed25519.

    Parameters
    ----------
    commitment : Commitment
    private_key : bytes or Ed25519PrivateKey
        32 raw bytes, or a key of the cryptography library.

    Returns
    -------
    Signature
    """

def verify_signature(commitment: Commitment, signature: Signature, public_key: bytes | Ed25519PublicKey) -> bool:
    """Check who signed a commitment.

    Parameters
    ----------
    commitment : Commitment
    signature : Signature
    public_key : bytes or Ed25519PublicKey
        The key that you know to be the signer's.

    Returns
    -------
    bool
    """
