"""The simulated model server: engines' own HTTP APIs in front of the step model; nothing that it says of itself was measured."""
