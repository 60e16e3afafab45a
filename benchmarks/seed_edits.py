"""The efficient-model document's speed claims, measured side by side on this machine.

    python benchmarks/seed_edits.py [--repeats 15] [--image-size 224]

Each edited network runs beside its baseline in one process, round by round, in PyTorch and in ONNX
Runtime, float32, on the CPU. "x faster" is the ratio of the medians: latency for one picture, and
throughput in batches of 16. The document's figures come from one NVIDIA T4 unless marked. Prints a
Markdown table. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse

from rich.console import Console

from recyclenet.costs.models import CostRow, measure_models

V2, VIT = "efficientnetv2_rw_t", "mobilevit_s"
# Baseline, edit, how many times as fast the document says.
CLAIMS = (
    (V2, f"{V2}+eca+fused_eca", "1.80 (1586 to 879 ms)"),
    (
        f"{V2}+eca+fused_eca",
        f"{V2}+eca+fused_eca+leaky_relu",
        "1.40 (879 to 629 ms)",
    ),
    (V2, f"{V2}+glu", "2 (CPU and GPU)"),
    (VIT, f"{VIT}+inverted_residuals", "1.16 (4.97 to 4.27 ms)"),
    (VIT, f"{VIT}+local_5x5", "2.4 (CPU)"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--image-size", type=int, default=224)
    arguments = parser.parse_args()
    names = list(dict.fromkeys(name for base, edit, _ in CLAIMS for name in (base, edit)))
    rows = {
        (row.name, row.runtime): row
        for row in measure_models(
            names, arguments.image_size, arguments.repeats, 0, Console(stderr=True)
        )
    }
    runtimes = ("PyTorch, 1", "PyTorch, 16", "ONNX Runtime, 1", "ONNX Runtime, 16")
    print("| " + " | ".join(("baseline", "edit", "document: x faster", *runtimes)) + " |")
    print("|---" * 7 + "|")
    for base, edit, claim in CLAIMS:
        cells = []
        for runtime in ("pytorch", "onnxruntime"):
            before, after = rows[base, runtime], rows[edit, runtime]
            cells += [latency(before, after), throughput(before, after)]
        print(f"| `{base}` | `{edit}` | {claim} | " + " | ".join(cells) + " |")


def latency(before: CostRow, after: CostRow) -> str:
    return f"{before.latency_ms / after.latency_ms:.2f} ({after.latency_ms:.0f} ms)"


def throughput(before: CostRow, after: CostRow) -> str:
    return f"{after.throughput / before.throughput:.2f} ({after.throughput:.0f}/s)"


if __name__ == "__main__":
    main()
