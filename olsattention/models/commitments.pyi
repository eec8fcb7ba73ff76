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
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self
import array_api_compat
import numpy as np
from fastcore.basics import patch
from ..arrays import AnyArray, Numpy, as_floats, to_numpy, write_whole
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
__all__ = ['CommitmentError', 'encode_array', 'decode_array', 'leaf_hash', 'node_hash', 'tree_levels', 'audit_path', 'root_from_path', 'Stored', 'Commitment', 'Opening', 'Secret', 'Signature', 'commit', 'open_', 'verify', 'sign', 'verify_signature']

class CommitmentError(ValueError):
    """A commitment, an opening or a secret is malformed: truncated, foreign, of a later
    version, or not canonical."""
WORDS = {4: ('<u4', 2139095040), 8: ('<u8', 9218868437227405312)}

def canonical_bits(array, name):
    ...

def canonical_name(name):
    ...

def require_exact(array, values, name):
    ...

def encode_array(name: str, values: AnyArray | float) -> bytes:
    ...

class Reader:
    """Bytes taken from the front; a length is compared with what is left before
    anything is taken."""

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
    ...

def fields(items):
    ...

def decode_name(data, what='encoding'):
    ...

def decode_array(data: bytes) -> tuple[str, Numpy]:
    ...

def leaf_hash(data: bytes) -> bytes:
    ...

def node_hash(left: bytes, right: bytes) -> bytes:
    ...

def tree_levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    ...

def audit_path(levels: Sequence[Sequence[bytes]], index: int) -> tuple[bytes, ...]:
    ...

def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    ...
LEAF = b'olsattention/leaf/1\x00'
SALT = b'olsattention/salt/1\x00'
ROOT = b'olsattention/root/1\x00'
SIGNED = b'olsattention/signature/1\x00'

def salted_leaf(salt, encoding):
    ...

def salt_of(salt, index):
    ...

def digest_of(root, size, names_digest, context):
    ...

def as_context(context):
    ...

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
        Whether an existing file may be replaced. A symbolic link is refused in any
        case.

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
        ...

    @cached_property
    def names_digest(self) -> bytes:
        ...

    def __repr__(self) -> str:
        ...

@dataclass(frozen=True, eq=False)
class Opening(Stored):
    """One array of a commitment, with what it takes to check that it is the one that
    was fixed."""
    encoding: bytes
    index: int
    size: int
    salt: bytes
    path: tuple[bytes, ...]

    @cached_property
    def name(self) -> str:
        ...

    @cached_property
    def values(self) -> Numpy:
        ...

    def __repr__(self) -> str:
        ...

@dataclass(frozen=True, eq=False)
class Secret(Stored):
    """The private half: the salt and the arrays. Whoever has it can open everything;
    lose it and nothing can be opened."""
    salt: bytes
    encodings: tuple[bytes, ...]
    context: str = ''

    @cached_property
    def levels(self) -> list[list[bytes]]:
        ...

    @cached_property
    def commitment(self) -> Commitment:
        ...

    def __repr__(self) -> str:
        ...

@dataclass(frozen=True)
class Signature(Stored):
    """An Ed25519 signature of a commitment, 64 bytes."""
    signature: bytes

def commit(arrays: Mapping[str, AnyArray | float], *, context: str='', salt: bytes | None=None) -> tuple[Commitment, Secret]:
    ...

def open_(secret: Secret, name: str) -> Opening:
    ...

def verify(commitment: Commitment, opening: Opening) -> bool:
    ...
MAGIC = b'olsattention\x00'
KINDS = {b'C': 'a commitment', b'O': 'an opening', b'S': 'a secret', b'G': 'a signature'}

def pack(kind, *parts):
    ...

def unpack(data, kind, what):
    ...

def text_of(data, what):
    ...

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

def read_regular(path):
    ...

def _ed25519():
    ...

def _key_of(key, kind, what):
    ...

def sign(commitment: Commitment, private_key: bytes | Ed25519PrivateKey) -> Signature:
    ...

def verify_signature(commitment: Commitment, signature: Signature, public_key: bytes | Ed25519PublicKey) -> bool:
    ...
