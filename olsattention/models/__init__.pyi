# Written by `make export` from the chapters: edit those, not this.
from . import commitments as commitments
from . import certificates as certificates
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
from .certificates import (
    EigenCertificate as EigenCertificate,
    certify_eigenpairs as certify_eigenpairs,
    certify_traces as certify_traces,
    RidgeCertificate as RidgeCertificate,
    certify_ridge as certify_ridge,
    certify_hat_matrix as certify_hat_matrix,
)
