"""Result files of other tools, written from what was measured here."""
