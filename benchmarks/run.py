"""Run the benchmarks, print a table, write ``benchmarks/results``."""

import argparse
import importlib
import sys

import harness

TOPICS = (
    "attention_weights",
    "r_factor",
    "ridge_path",
    "kernel_gcv",
    "ridge_attention",
    "stream",
    "cluster",
    "sharded",
    "large_kernel",
    "watch_and_prove",
    "intervals",
    "head_report",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "topics",
        nargs="*",
        default=TOPICS,
        metavar="topic",
        help=f"any of: {', '.join(TOPICS)}",
    )
    for topic in parser.parse_args().topics:
        if topic not in TOPICS:
            sys.exit(f"unknown topic {topic!r}; known are {', '.join(TOPICS)}")
        results = []
        for case in importlib.import_module(topic).cases():
            print(f"running {topic}: {case.name} ...", file=sys.stderr, flush=True)
            results.append(harness.measure(case))
        harness.print_table(results)
        print(f"written to {harness.save(topic, results)}\n", file=sys.stderr)


if __name__ == "__main__":
    main()
