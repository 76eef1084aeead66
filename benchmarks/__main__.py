"""`python -m benchmarks [start|many|model|engines|soak|traffic]`: the figures of README.md, measured afresh."""

from __future__ import annotations

import shutil
import sys

from benchmarks import engines, many, model, soak, start, traffic

PARTS = ("start", "many", "model", "engines", "soak", "traffic")


def main(parts: list[str]) -> None:
    """Run the named parts, all by default."""
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise SystemExit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    for part in parts or PARTS:
        print(f"\n## {part}\n", flush=True)
        if part == "start":
            start.main()
        elif part == "many":
            many.main()
        elif part == "model":
            model.main()
        elif part == "engines":
            engines.main()
        elif part == "traffic":
            traffic.main()
        else:
            soak.main(engine="embedded")
            if shutil.which("pulumi"):
                soak.main(engine="pulumi")


if __name__ == "__main__":
    main(sys.argv[1:])
