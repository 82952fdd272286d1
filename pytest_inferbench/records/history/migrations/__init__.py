"""How the tables of a history came to be, one revision after the other; run by `database`, in this process."""
