"""Same as `dfad train`; run with --help for what it takes."""

from dfad.commands.train import main

if __name__ == "__main__":
    main()
