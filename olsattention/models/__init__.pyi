# Written by `make export` from the chapters: edit those, not this.
from . import capture as capture
from .capture import (
    AttentionCall as AttentionCall,
    HeadMoments as HeadMoments,
    used_queries as used_queries,
    CaptureError as CaptureError,
    CapturedAttention as CapturedAttention,
    capture_attention as capture_attention,
)
