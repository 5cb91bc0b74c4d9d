"""Same as `dfad eval`; run with --help for what it takes."""

from dfad.commands.eval import main

if __name__ == "__main__":
    main()
