"""Result files of other tools, read as runs to compare with."""
