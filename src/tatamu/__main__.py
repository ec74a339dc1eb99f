"""``python -m tatamu train.py ARGS``: a program that has never heard of tatamu, with tatamu underneath."""

from tatamu.adopt.program import main

if __name__ == "__main__":
    main()
