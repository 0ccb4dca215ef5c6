"""Integer operators as TIR: each module turns one family of operators into functions."""
