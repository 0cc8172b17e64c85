"""python run.py ARGUMENTS: experiments.run with the study of this folder, as a user's own study beside the others."""

import signal
import sys
from pathlib import Path

import experiments
from experiments.run import main

if __name__ == "__main__":
    experiments.__path__.append(str(Path(__file__).parent))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
