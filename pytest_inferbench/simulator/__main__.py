"""The simulated server as a program: ``python -m pytest_inferbench.simulator``; `command` has its flags."""

from pytest_inferbench.simulator.command import simulate

if __name__ == "__main__":
    simulate(prog_name="python -m pytest_inferbench.simulator")
