"""What a user installs: the wheel is complete, and importing it is light."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

import olsattention

HEAVY = (
    "torch transformers sklearn pandas matplotlib statsmodels scipy.stats IPython".split()
)

IMPORT_EVERYTHING = """
import olsattention, sys
assert {folder!r} in olsattention.__file__, olsattention.__file__
missing = [name for name in olsattention.__all__ if not hasattr(olsattention, name)]
assert not missing, missing
assert olsattention.__version__ == {version!r}
print(len(olsattention.__all__))
"""
PROMISED = """
    AttentionRegressor BoundaryWarning CoulombeEmbedding EnsembleDecomposition
    KernelSmoother MultiheadRidgeAttention RankDeficiencyWarning
    RidgeAttentionOutput RidgeAttentionState RidgeCache SpectralSmoother
    TridiagonalSmoother arrays attention attention_weights causal causal_ridge
    checks combination_weights criterion_curve cross_hat_matrix dual_diagnostics
    embeddings ensemble ensemble_decomposition estimators forgetful_ridge forgetting
    gcv get_kernel hat_matrix head_coefficients head_lam heads huggingface kernels
    lam_from_mean learn_embedding leverage loo_residuals mean_from_lam merge_r
    multihead ols_coefficients plots r_factor randomized_gcv refinement
    register_ridge_attention relatives resonance resonance_spectrum rfactor ridge
    ridge_attention ridge_path rkhs select_lam similarity smoother spectral_filter
    splines state stationary svd thin_svd tridiagonal
"""  # public since the package had no parts
KERNELS = "linear polynomial exponential rbf laplacian matern sobolev spline KERNELS"
LOADED = "import olsattention, sys; print(*sorted(sys.modules))"


def run(python, code, cwd):
    """Run code in a fresh interpreter, away from the repository."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", code], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel, built from a copy, so that no build folder is left in the repository."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("settings.ini", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        if (root / name).exists():
            shutil.copy(root / name, copy)
    shutil.copytree(
        root / "olsattention",
        copy / "olsattention",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        copy / "dist",
        copy,
    ]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return next((copy / "dist").glob("*.whl"))


def test_wheel_holds_the_package_and_nothing_else(root, wheel):
    inside = {
        name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name
    }
    package = {
        p
        for p in (root / "olsattention").rglob("*")
        if p.suffix in (".py", ".pyi") or p.name == "py.typed"
    }
    assert inside == {p.relative_to(root).as_posix() for p in package}
    assert "olsattention/__init__.pyi" in inside


def test_wheel_installs_and_imports_every_public_name(root, wheel, tmp_path):
    """In a new environment the wheel alone provides the package; this environment lends its requirements."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "-q",
        wheel,
    ]
    subprocess.run(install, check=True)
    lent = next(folder.glob("lib/python*/site-packages")) / "lent.pth"
    lent.write_text(
        sysconfig.get_paths()["purelib"] + "\n"
    )  # a plain path: its own .pth files are not read
    version = wheel.name.split("-")[1]
    assert (
        int(
            run(
                python,
                IMPORT_EVERYTHING.format(folder=str(folder), version=version),
                tmp_path,
            )
        )
        > 0
    )


def test_import_is_light(tmp_path):
    loaded = run(sys.executable, LOADED, tmp_path).split()
    heavy = [name for name in HEAVY if name in loaded]
    assert not heavy, f"import olsattention loads {heavy}"


def test_no_public_name_is_lost():
    assert not set(PROMISED.split()) - set(olsattention.__all__)
    assert not set(KERNELS.split()) - set(olsattention.kernels.__all__)
    for name in PROMISED.split():
        assert getattr(olsattention, name) is not None


def test_a_part_offers_the_names_of_its_chapters():
    from olsattention.regression.svd import ThinSVD

    assert olsattention.regression.ThinSVD is ThinSVD
    with pytest.raises(AttributeError, match="nothing"):
        olsattention.regression.nothing  # noqa: B018
