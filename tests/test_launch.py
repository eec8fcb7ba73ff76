"""The kernel of chapter 6a, compiled for GPUs that are not here: what it takes of their registers is known all the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

triton = pytest.importorskip("triton")
TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from olsattention.attention.launch import LARGEST, sweep_kernel, tile_of
folder, capability = sys.argv[1], int(sys.argv[2])
names = ["A", "W", "n", "by_matrix", "by_row", "by_column", "SIZE"]
for size, options in dict(tile_of(n) for n in range(1, LARGEST + 1)).items():
    for kind in ("fp32", "fp64"):
        types = [f"*{kind}"] * 2 + ["i32"] * 4 + ["constexpr"]
        source = ASTSource(
            fn=sweep_kernel, signature=dict(zip(names, types)), constexprs={"SIZE": size}
        )
        target = GPUTarget("cuda", capability, 32)
        made = triton.compile(source, target=target, options=options)
        with open(f"{folder}/{size}{kind}.cubin", "wb") as file:
            file.write(made.asm["cubin"])
"""


@pytest.mark.slow  # the compiler takes its seconds
@pytest.mark.skipif(not TOOL.exists(), reason="Triton without NVIDIA's tools")
@pytest.mark.parametrize("capability", [80, 90])
def test_the_tiles_stay_in_registers(tmp_path, capability):
    """Of every size that the launcher chooses, as it has them compiled."""
    from olsattention.attention.launch import LARGEST

    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    env["TRITON_CACHE_DIR"] = str(tmp_path / "cache")
    command = [sys.executable, "-c", COMPILE, str(tmp_path), str(capability)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cubins = sorted(tmp_path.glob("*.cubin"))
    sizes = {2**i for i in range(LARGEST.bit_length())}
    assert {path.stem for path in cubins} == {f"{n}fp{b}" for n in sizes for b in (32, 64)}
    for path in cubins:
        said = subprocess.run(
            [TOOL, "-res-usage", path], capture_output=True, text=True
        ).stdout
        (stack,) = re.findall(r"STACK:(\d+)", said)
        assert int(stack) == 0, (path.name, said)


def test_larger_matrices_are_refused():
    import torch

    from olsattention.attention.launch import LARGEST, inverse_cholesky_in_one_launch

    with pytest.raises(ValueError, match=f"at most {LARGEST} rows"):
        inverse_cholesky_in_one_launch(torch.eye(LARGEST + 1)[None])
