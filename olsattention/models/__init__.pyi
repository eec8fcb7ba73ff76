# Written by `make export` from the chapters: edit those, not this.
from . import commitments as commitments
from .commitments import (
    CommitmentError as CommitmentError,
    encode_array as encode_array,
    decode_array as decode_array,
    leaf_hash as leaf_hash,
    node_hash as node_hash,
    tree_levels as tree_levels,
    audit_path as audit_path,
    root_from_path as root_from_path,
    Stored as Stored,
    Commitment as Commitment,
    Opening as Opening,
    Secret as Secret,
    Signature as Signature,
    commit as commit,
    open_ as open_,
    verify as verify,
    sign as sign,
    verify_signature as verify_signature,
)
