"""`python -m edgeseg.cli`: the command line where no script can be named, as under torchrun."""

from edgeseg.cli import main

if __name__ == "__main__":
    main()
