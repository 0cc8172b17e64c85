"""python run.py ARGUMENTS: experiments.run with the study of this folder, as a user's own study
beside the others.
"""

import sys
from pathlib import Path

import experiments
from experiments.run import program

if __name__ == "__main__":
    experiments.__path__.append(str(Path(__file__).parent))
    sys.exit(program())
