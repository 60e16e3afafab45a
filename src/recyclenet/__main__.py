"""`python -m recyclenet` is the command `recyclenet`."""

from __future__ import annotations

from recyclenet.cli.main import main

if __name__ == "__main__":
    main()
