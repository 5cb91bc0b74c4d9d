"""The `dfad` command: its subcommands, imported only when they are called."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version

COMMANDS = {  # name → what --help says of it; each is a module of dfad.commands with a function `main`
    "train": "train a detector            dfad train model=cnn data=manifest data.path=my.csv",
    "sweep": "search for good options    dfad sweep study=first sweep=cnn",
    "eval": "score clips with a run      dfad eval run=runs/…",
    "score": "is this file real?          dfad score recording.wav",
    "explain": "what speaks for spoof?      dfad explain recording.wav",
    "serve": "a page for recordings       dfad serve runs/…",
    "evaluate": "judge any system's scores   dfad evaluate scores.csv --report page.html",
    "compare": "is one really better?       dfad compare runs/… runs/…",
    "fuse": "several runs as one         dfad fuse runs/… runs/… --by logistic",
    "export": "ONNX, safetensors, card     dfad export runs/…",
    "runs": "the table of all runs       dfad runs --where model=cnn --over-seeds",
    "matrix": "trained on × tested on      dfad matrix --out matrix.png",
    "robustness": "laundered and attacked      dfad robustness runs/… runs/… --html page.html",
    "audit": "what lets models cheat?     dfad audit my.csv --out audit",
    "prepare": "bring and check a corpus    dfad prepare for_rerec",
    "import": "networks others trained     dfad import aasist",
    "vocode": "spoofed copies of speech    dfad vocode my.csv --out copies",
    "pack": "large files for far disks   dfad pack my.csv --out pack",
    "models": "size and speed of each      dfad models --json",
    "options": "explain every option        dfad options model",
}


def main() -> None:
    """Hand the command line to a subcommand."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in COMMANDS:
        sys.argv = [f"dfad {name}", *sys.argv[2:]]
        import_module(f"dfad.commands.{name}").main()
    elif name in ("-h", "--help"):
        print("dfad: train detectors of AI-generated speech, and find out whether they work\n")
        print("\n".join(f"  dfad {command:10} {says}" for command, says in COMMANDS.items()))
        print("\n`dfad <command> --help` says more.")
    elif name == "--version":
        print(f"dfad {version('dfad')}")
    else:
        from dfad.errors import did_you_mean

        print(f"error no command {name!r}; {did_you_mean(name, COMMANDS)}", file=sys.stderr)
        raise SystemExit(2)


if __name__ == "__main__":
    main()
